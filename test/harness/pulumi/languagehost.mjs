// The Node.js language host of Pulumi, as small as a project folder and a component package need it. Pulumi starts it as
// `pulumi-language-nodejs <engine address>` and reads the port from the first line. Plain JavaScript: it is a program of its own.
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';

const require = createRequire(import.meta.url);
const grpc = require('@grpc/grpc-js');
const messages = require('@pulumi/pulumi/proto/language_pb.js');
const plugin = require('@pulumi/pulumi/proto/plugin_pb.js');
const { LanguageRuntimeService } = require('@pulumi/pulumi/proto/language_grpc_pb.js');

/** `cmd/run` ends with this when the program's error has been told already (cmd/run/index.js). */
const toldExitCode = 32;
const engine = process.argv.slice(2).find((argument) => !argument.startsWith('-')) ?? '';

/** Runs one of the SDK's own programs, as it lies in the node_modules of the folder. */
function start(program, pwd, args, env, typescript) {
  const entry = createRequire(join(pwd, 'x.js')).resolve(`@pulumi/pulumi/cmd/${program}/index.js`);
  return spawn(process.execPath, [entry, ...args], {
    cwd: pwd,
    env: { ...process.env, ...env, PULUMI_NODEJS_TYPESCRIPT: String(typescript) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

const ended = (child) => new Promise((resolve) => child.once('close', (code) => resolve(code ?? 1)));

function wantsTypescript(info) {
  const option = info?.getOptions()?.toJavaScript()['typescript'];
  return option !== false;
}

async function run(request) {
  const info = request.getInfo();
  const program = info?.getEntryPoint() || request.getProgram() || '.';
  const pwd = request.getPwd() || info?.getProgramDirectory();
  const flags = {
    monitor: request.getMonitorAddress(),
    engine,
    organization: request.getOrganization(),
    project: request.getProject(),
    'root-directory': info?.getRootDirectory() ?? pwd,
    stack: request.getStack(),
    pwd,
    parallel: String(request.getParallel()),
  };
  const given = Object.entries(flags).flatMap(([name, value]) => (value ? [`--${name}`, value] : []));
  const args = [...given, ...(request.getDryrun() ? ['--dry-run'] : []), program, ...request.getArgsList()];
  const env = {
    PULUMI_CONFIG: JSON.stringify(Object.fromEntries(request.getConfigMap().toObject())),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(request.getConfigsecretkeysList()),
  };
  const child = start('run', pwd, args, env, wantsTypescript(info));
  // The engine shows what the host prints on standard error.
  for (const stream of [child.stdout, child.stderr]) stream.pipe(process.stderr, { end: false });
  const code = await ended(child);
  const response = new messages.RunResponse();
  if (code === toldExitCode) response.setBail(true);
  else if (code !== 0) response.setError(`the program ended with ${code}`);
  return response;
}

function runPlugin(call) {
  const { request } = call;
  const info = request.getInfo();
  const pwd = info?.getProgramDirectory() || request.getProgram() || request.getPwd();
  const entry = info?.getEntryPoint() || '.';
  const env = Object.fromEntries(request.getEnvList().map((pair) => pair.split(/=(.*)/s).slice(0, 2)));
  const child = start('run-plugin', pwd, [entry === '.' ? pwd : entry, ...request.getArgsList()], env, wantsTypescript(info));
  const tell = (set) => (chunk) => {
    const response = new messages.RunPluginResponse();
    set(response, chunk);
    call.write(response);
  };
  child.stdout.on(
    'data',
    tell((response, chunk) => response.setStdout(chunk)),
  );
  child.stderr.on(
    'data',
    tell((response, chunk) => response.setStderr(chunk)),
  );
  call.on('cancelled', () => child.kill('SIGTERM'));
  void ended(child).then((code) => {
    tell((response) => response.setExitcode(code))();
    call.end();
  });
}

const answer = (respond) => (call, callback) => {
  Promise.resolve(respond(call.request)).then(
    (response) => callback(null, response),
    (error) => callback(error),
  );
};

const server = new grpc.Server();
server.addService(LanguageRuntimeService, {
  handshake: answer(() => new messages.LanguageHandshakeResponse()),
  getRequiredPlugins: answer(() => new messages.GetRequiredPluginsResponse()),
  // The engine finds providers on PATH when a resource asks for one.
  getRequiredPackages: answer(() => new messages.GetRequiredPackagesResponse()),
  getPluginInfo: answer(() => {
    const info = new plugin.PluginInfo();
    info.setVersion(require('@pulumi/pulumi/package.json').version);
    return info;
  }),
  about: answer(() => {
    const response = new messages.AboutResponse();
    response.setExecutable(process.execPath);
    response.setVersion(process.version);
    return response;
  }),
  getProgramDependencies: answer(() => new messages.GetProgramDependenciesResponse()),
  runtimeOptionsPrompts: answer(() => new messages.RuntimeOptionsResponse()),
  // Whoever runs a test has installed what it needs.
  installDependencies: (call) => call.end(),
  run: answer(run),
  runPlugin,
});
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.stdout.write(`${port}\n`);
});
// The engine closes the pipe when it goes.
process.stdin.on('end', () => process.exit(0)).resume();
