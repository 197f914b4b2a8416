import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerImage } from './kubelet.ts';

const root = join(import.meta.dirname, '..', '..');
const dist = join(root, 'dist');

/** What a Containerfile says of a running container. */
export interface ImageConfig {
  readonly entrypoint: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly uid: number;
  readonly gid: number;
}

/** The last stage of the repository's Containerfile. Its files are those of `dist/`, under /app/. */
export function imageConfig(): ImageConfig {
  const stages = readFileSync(join(root, 'Containerfile'), 'utf8').split(/^FROM /m);
  const last = stages.at(-1) ?? '';
  const instruction = (name: string) => [...last.matchAll(new RegExp(`^${name} (.*)$`, 'gm'))].map((found) => found[1] ?? '');
  const [uid = NaN, gid = NaN] = (instruction('USER').at(-1) ?? '').split(':').map(Number);
  if (!last.includes('COPY --from=build /src/dist/ /app/')) throw new Error('the image has other files than dist/ under /app/');
  return {
    entrypoint: JSON.parse(instruction('ENTRYPOINT').at(-1) ?? '[]') as string[],
    env: Object.fromEntries(instruction('ENV').map((pair) => pair.split(/=(.*)/s).slice(0, 2))) as Record<string, string>,
    uid,
    gid,
  };
}

/**
 * What stands for the image: what `npm run build` has made, under the Node that runs the tests, with the entrypoint and the
 * environment of the Containerfile. `compileCache` is a folder for what the image has as its compile cache.
 */
export function programImage(compileCache?: string): ContainerImage {
  if (!existsSync(dist)) throw new Error('there is no dist/: npm run build');
  const { entrypoint, env } = imageConfig();
  const mount = (source: string, target: string, readOnly = true) => ({ source, target, readOnly });
  const [node = ''] = entrypoint;
  const files = readdirSync(dist).map((name) => mount(join(dist, name), `/app/${name}`));
  const cache = env['NODE_COMPILE_CACHE'];
  if (compileCache !== undefined) mkdirSync(compileCache, { recursive: true });
  return {
    entrypoint,
    env,
    mounts: [
      mount(process.execPath, node),
      ...files,
      ...(compileCache === undefined || cache === undefined ? [] : [mount(compileCache, cache)]),
    ],
  };
}
