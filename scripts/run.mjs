// The bootstrap: installs what package-lock.json names when it is not there, then runs a command of the project under
// the Node that the lock file pins. Plain JavaScript for any Node >= 18, because nothing is installed when it starts.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const STAMP = join(ROOT, 'node_modules', '.keywright-installed');
const LOCK = join(ROOT, '.keywright', 'install.lock');
const LOCK_DEADLINE_MS = 15 * 60_000;
const LEAST_NODE = '24.21.0';

/** Command → what our Node runs, before the caller's own arguments. */
const COMMANDS = {
  up: ['operator/src/main.ts', 'up'],
  keywright: ['operator/src/main.ts'],
  test: ['scripts/test.ts'],
  bench: ['scripts/bench.ts'],
  generate: ['scripts/generate.ts'],
  requirements: ['scripts/requirements.ts'],
  build: ['scripts/build.ts'],
  // Done by then.
  'build-pulumi': [],
  format: ['node_modules/prettier/bin/prettier.cjs', '--write', '--log-level=warn', '.'],
};

/** Commands that would work with an outdated @keywright/pulumi, and be wrong. */
const NEED_PULUMI = ['test', 'build-pulumi'];

const [command, ...args] = process.argv.slice(2);
if (command === undefined || !Object.hasOwn(COMMANDS, command)) {
  fail(2, `usage: node scripts/run.mjs ${Object.keys(COMMANDS).join('|')} [arguments]`);
}
await once(isInstalled, install, 'installs the packages').catch((error) => fail(1, error.message));
// So that `import '@keywright/pulumi'` always means the sources of this checkout.
await once(isPulumiBuilt, buildPulumi, 'builds @keywright/pulumi').catch((error) => {
  if (NEED_PULUMI.includes(command)) fail(1, error.message);
  tell(`${error.message}; Pulumi programs have the old one, and everything else goes on`);
});
if (COMMANDS[command].length > 0) runUnderOurNode([...COMMANDS[command], ...args]);

async function buildPulumi() {
  const child = spawn(ourNode(), [join(ROOT, 'scripts', 'pulumi', 'build.ts')], {
    cwd: ROOT,
    stdio: ['ignore', process.stderr, process.stderr],
  });
  if ((await exitCode(child)) !== 0) throw new Error('the package @keywright/pulumi could not be built: see above');
}

/** Whether each source that it was built of is still what it was. */
function isPulumiBuilt() {
  try {
    const { inputs, hash } = JSON.parse(readFileSync(join(ROOT, 'pulumi/dist/stamp.json'), 'utf8'));
    const now = createHash('sha256');
    for (const path of inputs) now.update(path).update(readFileSync(join(ROOT, path)));
    return now.digest('hex') === hash;
  } catch {
    return false;
  }
}

/** What is installed counts as current only for this lock file and this kind of machine. */
function wantedStamp() {
  const hash = createHash('sha256').update(readFileSync(join(ROOT, 'package-lock.json')));
  return hash.update(`${process.platform} ${process.arch}`).digest('hex');
}

function isInstalled() {
  return existsSync(STAMP) && readFileSync(STAMP, 'utf8') === wantedStamp();
}

/** Does something unless it is done, one start at a time; `what` says it of another start. */
async function once(isDone, act, what) {
  if (isDone()) return;
  // As `npm start` would make it: see operator/src/standalone/datafolder.ts.
  mkdirSync(dirname(LOCK), { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
  const end = performance.now() + LOCK_DEADLINE_MS;
  for (let told = false; !takeLock(); told = true) {
    if (!told) tell(`waiting for another start that ${what}`);
    if (performance.now() > end) throw new Error(`another start holds ${LOCK} for too long; remove that file if none runs`);
    await delay(200);
  }
  try {
    if (!isDone()) await act();
  } finally {
    rmSync(LOCK, { force: true });
  }
}

/** A lock file appears whole, with its owner's process id (a link is atomic); a dead owner's counts for nothing. */
function takeLock() {
  const own = `${LOCK}.${process.pid}`;
  writeFileSync(own, String(process.pid));
  try {
    linkSync(own, LOCK);
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  } finally {
    rmSync(own, { force: true });
  }
  try {
    if (!isAlive(Number(readFileSync(LOCK, 'utf8')))) rmSync(LOCK, { force: true });
  } catch (error) {
    // Released between the two looks.
    if (error.code !== 'ENOENT') throw error;
  }
  return false;
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

async function install() {
  tell('installing the packages (once, a minute or so) …');
  const npm = process.env.npm_execpath;
  const byPath = npm !== undefined && basename(npm) === 'npm-cli.js';
  const ci = ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error'];
  const child = spawn(byPath ? process.execPath : 'npm', byPath ? [npm, ...ci] : ci, {
    cwd: ROOT,
    env: installEnvironment(),
    // Standard output stays the command's own.
    stdio: ['ignore', process.stderr, process.stderr],
  });
  if ((await exitCode(child)) !== 0)
    throw new Error('npm ci failed: see above. Needed: a registry within reach, and write access to this folder');
  writeFileSync(STAMP, wantedStamp());
}

function exitCode(child) {
  return new Promise((resolve) => {
    child.once('error', () => resolve(1));
    child.once('close', (code) => resolve(code ?? 1));
  });
}

/** Without what would leave packages out, or turn the install into another one. */
function installEnvironment() {
  const unwanted =
    /^(node_env|npm_config_(omit|include|production|only|dev|optional|also|global|workspaces?|dry_run|package_lock_only))$/i;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !unwanted.test(name)));
}

/** The pinned Node, else this one when it is new enough (a machine without a pinned build, such as a Mac). */
function ourNode() {
  const pinned = join(ROOT, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node');
  if (existsSync(pinned)) return pinned;
  if (isNewEnough(process.versions.node)) return process.execPath;
  return fail(
    1,
    `no Node ${LEAST_NODE} for ${process.platform}-${process.arch} among the packages; install Node ${LEAST_NODE} or newer`,
  );
}

function isNewEnough(version) {
  const [own, least] = [version, LEAST_NODE].map((text) => text.split('.').map(Number));
  const differs = least.findIndex((part, index) => own[index] !== part);
  return differs === -1 || own[differs] > least[differs];
}

function runUnderOurNode(nodeArguments) {
  const node = ourNode();
  const [program, ...programArguments] = tied(node, nodeArguments);
  const child = spawn(program, programArguments, {
    cwd: ROOT,
    env: {
      ...process.env,
      INIT_CWD: process.env.INIT_CWD ?? process.cwd(),
      PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ''}`,
    },
    stdio: 'inherit',
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      // A terminal sends Ctrl-C to the child itself; twice would ask it to hurry.
      if (signal !== 'SIGINT' || process.stdin.isTTY !== true) child.kill(signal);
    });
  }
  endWithParent(child);
  child.once('error', (error) => fail(1, `${node} does not run here: ${error.message}`));
  child.once('close', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
}

/** Ends with us even when we are killed, where the machine offers that. */
function tied(program, programArguments) {
  const paths = (process.env.PATH ?? '').split(delimiter).map((dir) => join(dir, 'setpriv'));
  const setpriv = process.platform === 'linux' ? paths.find((path) => existsSync(path)) : undefined;
  return setpriv === undefined ? [program, ...programArguments] : [setpriv, '--pdeathsig', 'KILL', program, ...programArguments];
}

/** An npm that was killed or terminated leaves its children alone; ours hold ports and memory, so that they stop. */
function endWithParent(child) {
  if (process.env.npm_lifecycle_event === undefined) return;
  const before = ancestry();
  setInterval(() => {
    if (ancestry() !== before) child.kill('SIGTERM');
  }, 1000).unref();
}

/** npm's process id, as far as it shows: our parent, or the parent of the shell that stands between. */
function ancestry() {
  try {
    const [, name, rest] = /^\d+ \((.*)\) (.*)$/s.exec(readFileSync(`/proc/${process.ppid}/stat`, 'utf8')) ?? [];
    const isShell = /^(ba|da|a|k|z)?sh$/.test(name ?? '');
    return isShell ? `${process.ppid} ${rest?.split(' ')[1]}` : String(process.ppid);
  } catch {
    return String(process.ppid);
  }
}

function tell(line) {
  process.stderr.write(`keywright: ${line}\n`);
}

function fail(code, line) {
  tell(line);
  process.exit(code);
}
