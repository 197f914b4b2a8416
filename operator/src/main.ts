import './commands/requirenode.ts';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import about from '../package.json' with { type: 'json' };
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { revocationReasons } from './api/apikey.ts';
import { runAuthorizer } from './commands/authorizer.ts';
import { CommandFault, exitCodes, type CommandContext, type Environment, type ExitCode } from './commands/command.ts';
import { runCrds } from './commands/crds.ts';
import { runMigrate } from './commands/migrate.ts';
import { runOperator } from './commands/operator.ts';
import { runOrphans } from './commands/orphans.ts';
import { runPolicies } from './commands/policies.ts';
import { runRelease } from './commands/release.ts';
import { runRevoke } from './commands/revoke.ts';
import { runUp } from './commands/up.ts';
import { ConfigFault, readConfig, type Needs } from './config.ts';
import type { AwsEnvironment } from './destinations/aws/login.ts';
import { systemClock } from './domain/time.ts';
import { PepperFault } from './keys/pepper.ts';
import { isManifestWorker } from './resources/files/worker.ts';
import { CallerTokensFault } from './server/callers.ts';
import { ServerFault } from './server/start.ts';
import { TlsFault } from './server/tls.ts';
import { StandaloneFault } from './standalone/fault.ts';
import { loginConnections } from './store/postgres/logins.ts';
import { createLog } from './telemetry/pino.ts';
import { FileFault } from './watchedfile.ts';

const namespaceFile = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';
const defaultNamespace = 'keywright-system';

/** Both roles work on a database that they share, and prove keys with the same peppers. */
const serviceNeeds: Needs = ['databaseUrl', 'peppersFile'];

/** Errors whose sentence is meant for whoever configured the process. */
const faults = [ConfigFault, CommandFault, FileFault, PepperFault, CallerTokensFault, TlsFault, ServerFault, StandaloneFault];

type Run<Options> = (context: CommandContext, options: Options) => Promise<ExitCode>;

/** The program: one command a role. Sets the exit code; never throws. */
async function main(args: readonly string[]): Promise<void> {
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const)
    process.on(name, () => {
      stop.abort(new Error(name));
    });
  // A reader that goes away (`| head`) is no defect.
  process.stdout.on('error', () => {
    stop.abort(new Error('standard output was closed'));
  });
  // One that nobody waits for: Node itself would print its message.
  process.once('uncaughtException', (error) => {
    process.exit(report(error));
  });
  try {
    const command = program(stop.signal);
    refuseUnknown(command, args);
    await command.parseAsync([...args], { from: 'user' });
  } catch (error) {
    process.exitCode = report(error);
  }
  // Node removes its signal handlers before it exits by itself. If the same signal then came again (once to the group, once from npm),
  // the exit would not count as clean. Nothing is cut off: standard output
  // is written synchronously to files, pipes and terminals (Node's documentation of process I/O), and the log with it.
  if (stop.signal.aborted) process.exit();
}

function program(signal: AbortSignal): Command {
  const command = new Command('keywright').description('API keys as a Kubernetes resource.').exitOverride();
  command.version(about.version, '--version', 'print the version');
  const run =
    <Options>(act: Run<Options>, needs: Needs = []) =>
    async (options: Options): Promise<void> => {
      process.exitCode = await act(await openContext(signal, needs), options);
    };
  command
    .command('operator')
    .description('watch a cluster: mint, deliver, repair and revoke')
    .action(run(runOperator, serviceNeeds));
  command.command('authorizer').description('answer /v1/verify from the store').action(run(runAuthorizer, serviceNeeds));
  command
    .command('migrate')
    .description('upgrade the database schema, and make logins if asked')
    .option('--adopt-cluster', 'forget which cluster the database belongs to: the next operator to start claims it', false)
    .option('--operator-password-file <file>', 'make the account keywright_operator_login with this password')
    .option('--authorizer-password-file <file>', 'make the account keywright_authorizer_login with this password')
    .option(
      '--operator-connections <number>',
      'how many connections the operator account may have',
      parseLimit,
      loginConnections.operator,
    )
    .option(
      '--authorizer-connections <number>',
      'how many connections the authorizer account may have: 12 for each Pod',
      parseLimit,
      loginConnections.authorizer,
    )
    .action(run(runMigrate, ['databaseUrl']));
  command
    .command('revoke')
    .description('revoke a key in the store at once, even with the operator and the API server down')
    .requiredOption('--direct <keyId>', 'the key id, or its display form: what a log line or a status shows, never the value')
    .option('--reason <reason>', `why: ${revocationReasons.join(', ')}`, 'Unspecified')
    .option(
      '--replace',
      'end only this version, and let the operator mint the next one; else the ApiKey is closed for good',
      false,
    )
    .action(run(runRevoke, ['databaseUrl']));
  command
    .command('orphans')
    .description('list the keys whose ApiKey is gone without a deletion, and confirm that they are gone on purpose')
    .option('--namespace <namespace>', 'only the keys of this namespace')
    .option('--confirm <digest>', 'what the list ends with: exactly the listed keys are revoked and withdrawn')
    .action(run(runOrphans, ['databaseUrl']));
  command
    .command('release')
    .description('remove finalizers and owner references that a removed operator left; revokes nothing')
    .option('--namespace <namespace>', 'only the ApiKeys of this namespace')
    .option('--operator-namespace <namespace>', 'where the operator ran', defaultNamespace)
    .option('--dry-run', 'only show what would be released', false)
    .action(run(runRelease));
  command.command('crds').description('print the CustomResourceDefinitions').action(run(runCrds));
  command
    .command('policies')
    .description('print the admission policies, their bindings, the roles and the ServiceAccount that logs in to Vault')
    .action(run(runPolicies));
  command
    .command('up')
    .description('standalone: a folder of manifests, an embedded PostgreSQL, and the verify API on loopback')
    .option('--manifests <folder>', 'the folder of manifests (default: examples/quickstart)')
    .option('--data <folder>', 'where everything that is made is kept (default: .keywright)')
    .option('--port <port>', 'where /v1/verify is served; with --once it is not', parsePort, 8080)
    .option('--once', 'reconcile until nothing is left to do, print the table, and end', false)
    .option('--prune', 'delete what the last manifests folder had and this one lacks', false)
    .action(run(runUp));
  return command;
}

/** Commander would answer `--help` of a command that does not exist with the help of all, as if that were well. */
function refuseUnknown(command: Command, [name = '-']: readonly string[]): void {
  const known = ['help', ...command.commands.map((one) => one.name())];
  if (!name.startsWith('-') && !known.includes(name))
    command.error(`error: unknown command '${name}'; there are: ${known.join(', ')}`, { code: 'commander.unknownCommand' });
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^[0-9]{1,5}$/.test(text) || port > 65_535) throw new InvalidArgumentError('a port is a whole number from 0 to 65535');
  return port;
}

function parseLimit(text: string): number {
  const limit = Number(text);
  if (!/^[1-9][0-9]{0,4}$/.test(text)) throw new InvalidArgumentError('a limit is a whole number from 1 to 99999');
  return limit;
}

async function openContext(signal: AbortSignal, needs: Needs): Promise<CommandContext> {
  const config = readConfig(process.env, needs);
  return {
    config,
    clock: systemClock,
    log: createLog({ level: config.logLevel }),
    signal,
    print: (text) => process.stdout.write(text),
    environment: await readEnvironment(),
  };
}

async function readEnvironment(): Promise<Environment> {
  const { KUBECONFIG, INIT_CWD, HOSTNAME, KUBERNETES_SERVICE_HOST } = process.env;
  const namespace = await readFile(namespaceFile, 'utf8').catch(() => defaultNamespace);
  return {
    kubeconfig: KUBECONFIG === '' ? undefined : KUBECONFIG,
    namespace: namespace.trim(),
    hostname: HOSTNAME === undefined || HOSTNAME === '' ? hostname() : HOSTNAME,
    // Kubernetes sets it in every container.
    inPod: KUBERNETES_SERVICE_HOST !== undefined && KUBERNETES_SERVICE_HOST !== '',
    aws: awsEnvironment(),
    callerFolder: INIT_CWD ?? process.cwd(),
    screen: {
      isTerminal: process.stdout.isTTY,
      size: () => ({ columns: process.stdout.columns ?? 160, rows: process.stdout.rows ?? 50 }),
    },
  };
}

/** Only the variables that say who the ServiceAccount is in AWS: keys, profiles and regions of a shell do not count. */
function awsEnvironment(): AwsEnvironment {
  const {
    AWS_ROLE_ARN,
    AWS_WEB_IDENTITY_TOKEN_FILE,
    AWS_CONTAINER_CREDENTIALS_FULL_URI,
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE,
  } = process.env;
  return {
    roleArn: AWS_ROLE_ARN || undefined,
    webIdentityTokenFile: AWS_WEB_IDENTITY_TOKEN_FILE || undefined,
    containerCredentialsUri: AWS_CONTAINER_CREDENTIALS_FULL_URI || undefined,
    containerTokenFile: AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE || undefined,
  };
}

/** What is said of an error that ends the process, and the exit code that it means. */
function report(error: unknown): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.stopped : exitCodes.badConfiguration;
  if (error instanceof Error && faults.some((fault) => error instanceof fault)) {
    process.stderr.write(`keywright: ${error.message}\n`);
    return exitCodes.badConfiguration;
  }
  // The message of an unknown error may quote what it stumbled over: only its class and place are said.
  const place =
    error instanceof Error
      ? `${error.name}\n${(error.stack ?? '')
          .split('\n')
          .filter((line) => /^\s+at /.test(line))
          .join('\n')}`
      : 'not an error';
  process.stderr.write(`keywright: a defect ended the process: ${place}\n`);
  return exitCodes.failed;
}

// The bundle is one file: its worker threads start with this file, too.
if (!isManifestWorker) await main(process.argv.slice(2));
