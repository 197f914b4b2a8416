import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { arch } from 'node:os';
import { join } from 'node:path';
import { CACHE, PartMissing, toStderr, underLock } from './binaries.ts';
import { which } from './process.ts';

const LABEL = 'Lua 5.1';

/**
 * The path of Lua 5.1: the system's, or that of Debian's package, unpacked into the cache.
 *
 * @throws {PartMissing} when it cannot be had.
 */
export async function obtainLua(progress: (line: string) => void = toStderr): Promise<string> {
  const system = which('lua5.1');
  if (system !== undefined) return system;
  const dir = join(CACHE, `lua5.1-${arch()}`);
  const path = join(dir, 'root', 'usr', 'bin', 'lua5.1');
  if (existsSync(path)) return path;
  mkdirSync(dir, { recursive: true });
  return await underLock(join(dir, 'lock'), LABEL, progress, async () => {
    if (!existsSync(path)) unpack(dir);
    return path;
  });
}

function unpack(dir: string): void {
  const building = join(dir, `root.building-${process.pid}`);
  mkdirSync(building, { recursive: true });
  try {
    run('apt-get', ['download', 'lua5.1'], building);
    const [file = ''] = readdirSync(building).filter((name) => name.endsWith('.deb'));
    run('dpkg', ['-x', file, '.'], building);
    rmSync(join(building, file));
    renameSync(building, join(dir, 'root'));
  } finally {
    rmSync(building, { recursive: true, force: true });
  }
}

function run(command: string, args: readonly string[], cwd: string): void {
  const { status, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw PartMissing.of(LABEL, `install lua5.1 (on Debian: apt-get install lua5.1)\n${stderr}`);
}

/** Runs a program of Lua; throws what it said on standard error when it fails. Returns what it printed. */
export async function runLua(lua: string, program: string): Promise<string> {
  const child = spawn(lua, ['-'], { stdio: ['pipe', 'pipe', 'pipe'], timeout: 30_000, killSignal: 'SIGKILL' });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.on('error', () => undefined);
  child.stdin.end(program);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`Lua ended with ${String(code)}: ${stderr.trim()}`);
  return stdout;
}
