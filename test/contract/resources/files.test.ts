import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ObjectRef } from '../../../operator/src/api/meta.ts';
import { systemClock } from '../../../operator/src/domain/time.ts';
import { openFilesResources } from '../../../operator/src/resources/files/files.ts';
import type { WatchedKind } from '../../../operator/src/resources/port.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { until } from '../../harness/until.ts';
import { directParser } from '../../harness/fakes/parser.ts';
import { resourcesContract } from './suite.ts';

// Secrets are left out: this mode reads their manifests and writes none.
resourcesContract(
  'resources of a folder',
  async () => {
    const base = await mkdtemp(join(tmpdir(), 'keywright-contract-'));
    const manifests = join(base, 'manifests');
    const data = join(base, 'data');
    await mkdir(manifests);
    await mkdir(data);
    const resources = await openFilesResources({
      manifestsFolder: manifests,
      dataFolder: data,
      clock: systemClock,
      log: silentLog,
      prune: false,
      deletionGraceMs: 0,
      parser: directParser,
    });
    const pathOf = (kind: WatchedKind, { namespace = '', name }: ObjectRef) =>
      join(manifests, `${kind}.${namespace}.${name}.json`);
    const isWatching = () => resources.scansCompleted() > 0;
    const generationOf = async (kind: WatchedKind, ref: ObjectRef) => (await resources.readLive(kind, ref))?.metadata.generation;
    const done = Promise.resolve();
    return {
      resources,
      namespace: 'payments',
      close: async () => {
        await resources.idle();
        await rm(base, { recursive: true });
      },
      driver: {
        create: async (kind, { finalizers, ...metadata }, spec) => {
          // One of the same name may still be on its way out.
          if (isWatching()) await until(async () => (await generationOf(kind, metadata)) === undefined);
          await writeFile(pathOf(kind, metadata), JSON.stringify({ apiVersion: 'keywright.dev/v1alpha1', kind, metadata, spec }));
          if (!isWatching()) return;
          const made = await until(() => resources.readLive(kind, metadata));
          if (finalizers !== undefined) await resources.setFinalizers(kind, made.metadata, finalizers);
        },
        edit: async (kind, ref, spec) => {
          const before = (await generationOf(kind, ref)) ?? 0;
          const old = JSON.parse(await readFile(pathOf(kind, ref), 'utf8')) as { spec: object };
          await writeFile(pathOf(kind, ref), JSON.stringify({ ...old, spec: { ...old.spec, ...spec } }));
          await until(async () => ((await generationOf(kind, ref)) ?? 0) > before);
        },
        delete: (kind, ref) => rm(pathOf(kind, ref)),
        createSecret: () => done,
        changeSecret: () => done,
        deleteSecret: () => done,
      },
    };
  },
  { secrets: false, foreignStatuses: false },
);
