import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { arch, homedir, platform } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isAlive, tied, which } from './process.ts';

/** The programs that are built from their Go modules, in the order in which the tests need them. */
export const BINARIES = [
  ...(['etcd', 'kube-apiserver', 'kubectl', 'bao', 'kube-controller-manager'] as const),
  ...(['helm', 'pulumi', 'pulumi-resource-kubernetes', 'pulumi-language-yaml'] as const),
] as const;
export type Binary = (typeof BINARIES)[number];

/** What a run of the tests calls each program, and its version (pinned in test/tools). */
export const BINARY_LABELS: Readonly<Record<Binary, string>> = {
  etcd: 'etcd 3.7.1',
  'kube-apiserver': 'kube-apiserver 1.37.1',
  kubectl: 'kubectl 1.37.1',
  bao: 'OpenBao 2.4.0',
  'kube-controller-manager': 'kube-controller-manager 1.37.1',
  helm: 'Helm 4.2.4',
  pulumi: 'Pulumi 3.259.0',
  'pulumi-resource-kubernetes': 'Kubernetes provider of Pulumi 4.25.0 (2026-01-15)',
  'pulumi-language-yaml': 'YAML language host of Pulumi 1.25.0',
};

/** A real part that this machine cannot have now. Its suites are skipped, or fail where CI=true. */
export class PartMissing extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PartMissing';
  }

  /** Names the part, and what makes it come. */
  static of(part: string, cure: string): PartMissing {
    return new PartMissing(`${part} is not there: ${cure}`);
  }
}

interface Recipe {
  readonly module: string;
  readonly package: string;
  readonly flags: readonly string[];
}

const kubeFlags = [
  '-tags=grpcnotrace',
  '-ldflags=-s -w -X k8s.io/component-base/version.gitVersion=v1.37.1 -X k8s.io/component-base/version.gitMajor=1 ' +
    '-X k8s.io/component-base/version.gitMinor=37 -X k8s.io/client-go/pkg/version.gitVersion=v1.37.1',
];

const RECIPES: Readonly<Record<Binary, Recipe>> = {
  etcd: { module: 'etcd', package: 'go.etcd.io/etcd/server/v3', flags: ['-ldflags=-s -w'] },
  'kube-apiserver': { module: 'kube', package: 'k8s.io/kubernetes/cmd/kube-apiserver', flags: kubeFlags },
  kubectl: { module: 'kube', package: 'k8s.io/kubernetes/cmd/kubectl', flags: kubeFlags },
  bao: {
    module: 'openbao',
    package: 'github.com/openbao/openbao',
    flags: ['-ldflags=-s -w -X github.com/openbao/openbao/version.fullVersion=2.4.0'],
  },
  'kube-controller-manager': { module: 'kube', package: 'k8s.io/kubernetes/cmd/kube-controller-manager', flags: kubeFlags },
  helm: {
    module: 'helm',
    package: 'helm.sh/helm/v4/cmd/helm',
    flags: ['-ldflags=-s -w -X helm.sh/helm/v4/internal/version.version=v4.2.4'],
  },
  pulumi: {
    module: 'pulumi',
    package: 'github.com/pulumi/pulumi/pkg/v3/cmd/pulumi',
    flags: [
      '-tags=osusergo,grpcnotrace',
      // Without a version the Automation API refuses it.
      '-ldflags=-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v3.259.0',
    ],
  },
  'pulumi-resource-kubernetes': {
    module: 'pulumi-kubernetes',
    package: '.',
    flags: ['-ldflags=-s -w -X github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version.Version=v4.25.0'],
  },
  'pulumi-language-yaml': {
    module: 'pulumi-yaml',
    package: 'github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml',
    flags: ['-ldflags=-s -w -X github.com/pulumi/pulumi-yaml/pkg/version.Version=v1.25.0'],
  },
};

/** The programs that the official envtest archive holds. */
const ENVTEST: readonly Binary[] = ['etcd', 'kube-apiserver', 'kubectl'];
/** Where built and installed programs outlive a checkout. */
export const CACHE = join(homedir(), '.cache', 'keywright');
/** The pinned sources of the programs. */
export const TOOLS = join(import.meta.dirname, '..', 'tools');
const GO_MINOR = 26;

/**
 * The path of a program: from KUBEBUILDER_ASSETS, from the cache, or built now. `progress` hears what goes on, in lines.
 *
 * @throws {PartMissing} with the cure, when it cannot be had.
 */
export async function obtain(binary: Binary, progress: (line: string) => void = toStderr): Promise<string> {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (assets !== undefined && assets !== '' && ENVTEST.includes(binary)) {
    const path = join(assets, binary);
    if (existsSync(path)) return path;
    progress(`${binary} is not in KUBEBUILDER_ASSETS (${assets}); taking our own`);
  }
  const recipe = RECIPES[binary];
  const dir = join(CACHE, `${binary}-${recipeHash(recipe)}`);
  const path = join(dir, binary);
  if (existsSync(path)) return path;
  mkdirSync(dir, { recursive: true });
  return await underLock(join(dir, 'lock'), binary, progress, async () => {
    if (!existsSync(path)) await build(binary, recipe, path, progress);
    return path;
  });
}

/** Whether {@link obtain} would answer at once. */
export function isAtHand(binary: Binary): boolean {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (assets !== undefined && ENVTEST.includes(binary) && existsSync(join(assets, binary))) return true;
  return existsSync(join(CACHE, `${binary}-${recipeHash(RECIPES[binary])}`, binary));
}

/** The cache key: another source, other flags, another machine type = another binary. */
function recipeHash(recipe: Recipe): string {
  const hash = createHash('sha256');
  const dir = join(TOOLS, recipe.module);
  for (const file of readdirSync(dir).sort()) hash.update(readFileSync(join(dir, file)));
  hash.update(JSON.stringify([recipe.package, recipe.flags, platform(), arch()]));
  return hash.digest('hex').slice(0, 12);
}

async function build(binary: Binary, recipe: Recipe, path: string, progress: (line: string) => void): Promise<void> {
  requireGo(BINARY_LABELS[binary]);
  const temporary = `${path}.building-${process.pid}`;
  const started = performance.now();
  const seconds = (): string => `${Math.round((performance.now() - started) / 1000)} s`;
  progress(`building ${BINARY_LABELS[binary]} from its source (once; minutes when the Go cache is empty)`);
  const ticker = setInterval(() => progress(`building ${BINARY_LABELS[binary]}: ${seconds()}`), 30_000);
  try {
    // Again once: thousands of downloads come before a cold build, and what has come stays.
    const output = (await go(recipe, temporary)) && (await go(recipe, temporary));
    if (output !== undefined) {
      const lines = output.trimEnd().split('\n').slice(-15).join('\n');
      throw PartMissing.of(
        BINARY_LABELS[binary],
        `go build failed; is the Go module proxy (go env GOPROXY) within reach?\n${lines}`,
      );
    }
    renameSync(temporary, path);
    progress(`built ${BINARY_LABELS[binary]} in ${seconds()}`);
  } finally {
    clearInterval(ticker);
    rmSync(temporary, { force: true });
  }
}

/** Resolves to what Go said when the build failed. */
async function go(recipe: Recipe, output: string): Promise<string | undefined> {
  const { command, args } = tied('go', ['build', '-mod=readonly', '-trimpath', ...recipe.flags, '-o', output, recipe.package]);
  const child = spawn(command, args, {
    cwd: join(TOOLS, recipe.module),
    env: { ...process.env, CGO_ENABLED: '0', GOTOOLCHAIN: 'local', GOFLAGS: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code) => resolve(code === 0 ? undefined : said));
  });
}

function requireGo(part: string): void {
  const cure = `install Go 1.${GO_MINOR} or newer and put it on PATH (or set KUBEBUILDER_ASSETS for etcd, kube-apiserver and kubectl)`;
  if (which('go') === undefined) throw PartMissing.of(part, cure);
  const said = spawnSync('go', ['env', 'GOVERSION'], { encoding: 'utf8', env: { ...process.env, GOTOOLCHAIN: 'local' } }).stdout;
  const minor = Number(/^go1\.(\d+)/.exec(said)?.[1] ?? Number.NaN);
  if (!(minor >= GO_MINOR)) throw PartMissing.of(part, `${cure}; found ${said.trim() || 'none'}`);
}

/** One builder at a time over all processes. A dead process's lock counts for nothing. */
export async function underLock<T>(
  lock: string,
  what: string,
  progress: (line: string) => void,
  body: () => Promise<T>,
): Promise<T> {
  for (let round = 0; !takeLock(lock); round++) {
    if (round === 0) progress(`waiting for another process that builds ${what}`);
    await delay(500);
  }
  try {
    return await body();
  } finally {
    rmSync(lock, { force: true });
  }
}

/** The lock only saves double work: what is built twice is renamed into place twice. */
function takeLock(lock: string): boolean {
  const own = `${lock}.${process.pid}`;
  writeFileSync(own, String(process.pid));
  try {
    // A link appears whole or not at all, so that nobody reads a lock without its owner.
    linkSync(own, lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(own, { force: true });
  }
  const holder = existsSync(lock) ? Number(readFileSync(lock, 'utf8')) : undefined;
  if (holder !== undefined && !isAlive(holder)) rmSync(lock, { force: true });
  return false;
}

/** Where progress is told, unless a caller wants it elsewhere. */
export function toStderr(line: string): void {
  process.stderr.write(`keywright: ${line}\n`);
}
