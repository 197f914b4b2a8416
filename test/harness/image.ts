import { join } from 'node:path';
import type { ContainerImage } from './kubelet.ts';

const root = join(import.meta.dirname, '..', '..');

/** What stands for the image of the program: the sources under the Node that runs the tests. */
export function programImage(): ContainerImage {
  const mount = (source: string, target: string) => ({ source, target, readOnly: true });
  return {
    entrypoint: ['/nodejs/bin/node', '/app/operator/src/main.ts'],
    env: {},
    mounts: [
      mount(process.execPath, '/nodejs/bin/node'),
      ...['operator', 'node_modules', 'package.json'].map((name) => mount(join(root, name), `/app/${name}`)),
    ],
  };
}
