import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { obtain, isAtHand } from '../../harness/binaries.ts';
import { privateDir } from '../../harness/process.ts';

let assets: string;

beforeEach(() => {
  assets = privateDir('assets');
  vi.stubEnv('KUBEBUILDER_ASSETS', assets);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(assets, { recursive: true, force: true });
});

test('KUBEBUILDER_ASSETS comes before our own build', async () => {
  const etcd = join(assets, 'etcd');
  writeFileSync(etcd, '#!/bin/sh\n');
  chmodSync(etcd, 0o755);
  expect(isAtHand('etcd')).toBe(true);
  expect(await obtain('etcd')).toBe(etcd);
});
