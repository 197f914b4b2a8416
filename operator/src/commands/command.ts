import { randomBytes, randomUUID } from 'node:crypto';
import type { Config } from '../config.ts';
import type { AwsEnvironment } from '../destinations/aws/login.ts';
import type { Clock } from '../domain/time.ts';
import type { RandomSource } from '../keys/mint.ts';
import type { Log } from '../telemetry/log.ts';

/** How a process ended, for whoever started it. */
export const exitCodes = {
  /** Stopped as asked. */
  stopped: 0,
  /** A failure that a restart may cure. */
  failed: 1,
  /** Bad configuration: a restart changes nothing. */
  badConfiguration: 2,
  /** Another process leads now. */
  leadershipLost: 3,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** What every command is given: configuration, time, a log, and the wish to end. */
export interface CommandContext {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  /** Aborted on SIGTERM and SIGINT. */
  readonly signal: AbortSignal;
  /** For people, on standard output. */
  readonly print: (text: string) => void;
  readonly environment: Environment;
}

/** What of the environment is not Keywright's own configuration. */
export interface Environment {
  /** `KUBECONFIG`; absent = in-cluster. */
  readonly kubeconfig: string | undefined;
  /** The operator's own namespace: of its Lease, and of the Secrets that a KeyDestination refers to. */
  readonly namespace: string;
  /** The Pod's name, or the machine's. */
  readonly hostname: string;
  /** Whether the process runs in a Pod, where loopback is that Pod and not somebody's machine. */
  readonly inPod: boolean;
  /** What EKS says of the role of the ServiceAccount, by the variables that its webhooks set; absent = nothing. */
  readonly aws?: AwsEnvironment;
  /** The folder that relative paths of arguments count from. */
  readonly callerFolder: string;
  /** Standard output: whether it is a terminal that can be drawn over, and its size now. */
  readonly screen: { readonly isTerminal: boolean; size(): { readonly columns: number; readonly rows: number } };
}

/** Says what is wrong with the configuration: exit code 2, and no stack. */
export class CommandFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CommandFault';
  }
}

/** A configured value that this command cannot do without. Throws {@link CommandFault} naming its variable. */
export function required<T>(value: T | undefined, variable: string, command: string): T {
  if (value === undefined) throw new CommandFault(`${variable} must be set for \`keywright ${command}\``);
  return value;
}

/** Unpredictable bytes from the system. */
export const systemRandom: RandomSource = (size) => randomBytes(size);

/** A new random uuid. */
export const systemId = (): string => randomUUID();

/** A number in [0, 1), for spreading. */
export const systemChance = (): number => randomBytes(4).readUInt32BE() / 2 ** 32;

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else
      signal.addEventListener(
        'abort',
        () => {
          resolve();
        },
        { once: true },
      );
  });
}
