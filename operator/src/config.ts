import { z } from 'zod';

import { loginServiceAccountName } from './api/meta.ts';
import { didYouMean } from './api/suggestion.ts';
import { durationMs, durationPattern, parseDurationMs } from './domain/duration.ts';
import { addressOf, originOf } from './domain/serveraddress.ts';
import { addressForm, isLocalAddress, parseAddress } from './server/address.ts';
import type { ListenAddress } from './server/address.ts';
import { logLevels } from './telemetry/pino.ts';

/** One environment variable: its name, what it means, and how its text is read. */
interface Variable<T> {
  readonly name: `KEYWRIGHT_${string}`;
  readonly description: string;
  /** The form of its text, for people. */
  readonly form: string;
  /** The text that an absent variable counts as. */
  readonly fallback?: string;
  /** False while no command acts on it: the name is promised, its text is checked, nothing more. */
  readonly inUse: boolean;
  readonly schema: z.ZodType<T, string>;
}

const hostListPattern = /^postgres(?:ql)?:\/\/(?:[^@/?#\s]*@)?[^@/?#,\s]+(?:,[^@/?#,\s]+)*(?:\/[^\s#]*)?(?:\?[^\s#]*)?$/;
/** On a Unix socket: its folder stands where options do. */
const socketPattern = /^postgres(?:ql)?:\/\/(?:[^@/?#\s]*@)?\/[^\s?#]*\?(?:[^\s#]*&)?host=(?:\/|%2[Ff])[^\s#]*$/;
const namePattern = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const cidrPattern = /^[0-9A-Fa-f.:]+(?:\/[0-9]{1,3})?$/;
const pathForm = 'an absolute or relative path';

const filePath = z.string().min(1);
const databaseUrl = z.string().refine((text) => hostListPattern.test(text) || socketPattern.test(text));
const redisUrl = z.string().regex(/^rediss?:\/\/\S+$/);
const address = z.string().transform((text, context): ListenAddress => {
  const parsed = parseAddress(text);
  if (parsed !== undefined) return parsed;
  context.addIssue({ code: 'custom', message: 'not an address' });
  return z.NEVER;
});
const durationWhere = (isTaken: (ms: number) => boolean) =>
  z
    .string()
    .regex(new RegExp(durationPattern))
    .refine((text) => isTaken(parseDurationMs(text) ?? Number.NaN))
    .transform(durationMs);
const duration = durationWhere((ms) => ms > 0);
/** Unlike the others, it may be nothing. */
const graceDuration = durationWhere((ms) => ms <= 3_600_000);
const nameList = commaList(namePattern);
/** `none` is a name that no list needs: nothing at all is not a list of nothing. */
const originsForm = (example: string) => `\`none\`, or origins separated by commas, such as \`${example}\``;
const urlsOrNone = (canonical: (url: string) => string | undefined) =>
  z.union([
    z.literal('none').transform((): readonly string[] => []),
    commaList(/^https?:\/\/[^\s,]+$/).transform((urls, context) =>
      urls.map((url) => {
        const known = canonical(url);
        if (known === undefined) context.addIssue({ code: 'custom', message: 'not a URL' });
        return known ?? '';
      }),
    ),
  ]);
const originsOrNone = urlsOrNone(originOf);
const addressesOrNone = urlsOrNone(addressOf);
const namesOrNone = z.union([z.literal('none').transform((): readonly string[] => []), nameList]);

/** Every variable, by the name that it has in {@link Config}. */
const variables = {
  databaseUrl: inUse(
    'KEYWRIGHT_DATABASE_URL',
    'The PostgreSQL database. Several hosts may be given, separated by commas; the one with the latest heartbeat of the operator is used (see docs/architecture.md). Without `sslmode` in it the connection is not encrypted: use `sslmode=verify-full`, and `sslrootcert` for an authority of your own.',
    '`postgres://user@host[:port][,host[:port]]/database[?sslmode=verify-full]`, or `postgres://user@/database?host=/folder` for the Unix socket in that folder',
    databaseUrl,
  ),
  databaseReadUrl: reserved(
    'KEYWRIGHT_DATABASE_READ_URL',
    'A standby that authorizers read from.',
    '`postgres://user@host[:port]/database`',
    databaseUrl,
  ),
  databasePasswordFile: inUse(
    'KEYWRIGHT_DATABASE_PASSWORD_FILE',
    'A file with the password of the database user.',
    pathForm,
    filePath,
  ),
  peppersFile: inUse(
    'KEYWRIGHT_PEPPERS_FILE',
    'The peppers: `{"current":"<id>","peppers":{"<id>":"<base64 of at least 32 bytes>"}}`. Read again when it changes.',
    pathForm,
    filePath,
  ),
  namespaces: inUse(
    'KEYWRIGHT_NAMESPACES',
    'The namespaces whose ApiKeys are served. Absent: all.',
    'names, separated by commas',
    nameList,
  ),
  secretNamespaces: inUse(
    'KEYWRIGHT_SECRET_NAMESPACES',
    'The namespaces whose Secrets keys may be delivered to; `none` needs no right on Secrets. Absent: all that are served.',
    'names, separated by commas, or `none`',
    namesOrNone,
  ),
  vaultAddresses: defaulted(
    'KEYWRIGHT_VAULT_ADDRESSES',
    'The Vault servers that may get credentials that other servers would also accept: tokens for any audience, Secrets without the annotation `keywright.dev/vault-address`.',
    '`none`, or addresses separated by commas, such as `https://vault.example.com:8200` or `https://gateway.example.com/vault`',
    'none',
    addressesOrNone,
  ),
  awsEndpoints: defaulted(
    'KEYWRIGHT_AWS_ENDPOINTS',
    'What `endpoint` and `stsEndpoint` of a KeyDestination may name besides the endpoints of AWS itself.',
    originsForm('https://vpce-1.sts.eu-west-1.vpce.amazonaws.com'),
    'none',
    originsOrNone,
  ),
  insecureDestinations: defaulted(
    'KEYWRIGHT_INSECURE_DESTINATIONS',
    'The servers that a KeyDestination may name with plain `http:`, and, in a Pod, on loopback.',
    originsForm('http://vault.vault:8200'),
    'none',
    originsOrNone,
  ),
  loginServiceAccounts: defaulted(
    'KEYWRIGHT_LOGIN_SERVICE_ACCOUNTS',
    "The ServiceAccounts in the operator's namespace whose tokens may log in to Vault. Give them no rights in the cluster.",
    'names, separated by commas',
    loginServiceAccountName,
    nameList,
  ),
  admission: defaulted(
    'KEYWRIGHT_ADMISSION',
    'Whether the admission policy must be in force before anything that is written to an ApiKey takes effect.',
    '`required` or `off`',
    'required',
    z.enum(['required', 'off']),
  ),
  consumers: defaulted(
    'KEYWRIGHT_CONSUMERS',
    'Whether the consumers of an ApiKey with `restart: true` are restarted when a new version is active. `on` needs the role for consumers.',
    '`on` or `off`',
    'off',
    z.enum(['on', 'off']),
  ),
  leaderElection: defaulted(
    'KEYWRIGHT_LEADER_ELECTION',
    'Whether one of several operators is elected to work. `off` is for a single one.',
    '`on` or `off`',
    'on',
    z.enum(['on', 'off']),
  ),
  leaseDurationMs: defaulted(
    'KEYWRIGHT_LEASE_DURATION',
    'How long a leader that fell silent is waited for.',
    'a duration, 5s to 10m',
    '15s',
    between(5_000, 600_000),
  ),
  concurrency: defaulted(
    'KEYWRIGHT_CONCURRENCY',
    'How many ApiKeys are reconciled at the same time, and how many calls go to one destination at the same time.',
    'a whole number, 1 to 100',
    '8',
    wholeNumber(1, 100),
  ),
  withdrawDeadlineMs: defaulted(
    'KEYWRIGHT_WITHDRAW_DEADLINE',
    'How long the deletion of an ApiKey waits for a destination that does not answer. Its keys are dead before that.',
    'a duration',
    '10m',
    duration,
  ),
  orphanAfterMs: defaulted(
    'KEYWRIGHT_ORPHAN_AFTER',
    'How long a key lives on after its ApiKey vanished without a deletion (for example, its finalizer was removed). Up to a minute is added.',
    'a duration, 10s to 24h',
    '8m',
    between(10_000, 86_400_000),
  ),
  deletionGraceMs: defaulted(
    'KEYWRIGHT_DELETION_GRACE',
    'How long a manifest must be absent from the folder of `npm start` before its object is deleted: `git checkout` of another branch and back revokes nothing. An edit acts at once.',
    'a duration, 0s to 1h',
    '5s',
    graceDuration,
  ),
  deliverDeadlineMs: defaulted(
    'KEYWRIGHT_DELIVER_DEADLINE',
    'How long a new version waits for a destination that does not answer, before the others get on without it.',
    'a duration',
    '1h',
    duration,
  ),
  driftIntervalMs: defaulted(
    'KEYWRIGHT_DRIFT_INTERVAL',
    'How often a destination is checked for changes by others.',
    'a duration',
    '6h',
    duration,
  ),
  feedRetentionMs: defaulted(
    'KEYWRIGHT_FEED_RETENTION',
    'How long the operator keeps rows of the change feed. A follower that was away for longer reads everything.',
    'a duration, at least 1h',
    '24h',
    between(3_600_000, Infinity),
  ),
  auditRetentionMs: defaulted(
    'KEYWRIGHT_AUDIT_RETENTION',
    'How long the operator keeps audit rows. The database never removes rows younger than 720h.',
    'a duration, at least 720h',
    '9600h',
    between(720 * 3_600_000, Infinity),
  ),
  versionRetentionMs: defaulted(
    'KEYWRIGHT_VERSION_RETENTION',
    'How long the operator keeps ended versions, and rows of resources that were deleted. It keeps the newest ended ones as long as their ApiKey.',
    'a duration, at least 24h',
    '720h',
    between(24 * 3_600_000, Infinity),
  ),
  deliveryRetentionMs: defaulted(
    'KEYWRIGHT_DELIVERY_RETENTION',
    'How long the operator keeps rows of locations that it has emptied.',
    'a duration, at least 1h',
    '24h',
    between(3_600_000, Infinity),
  ),
  feedPollMs: defaulted(
    'KEYWRIGHT_FEED_POLL',
    'How often the operator looks for what others changed in the store: a direct revocation.',
    'a duration, 1s to 1m',
    '1s',
    between(1_000, 60_000),
  ),
  usageFlushMs: defaulted(
    'KEYWRIGHT_USAGE_FLUSH',
    'How often the authorizer writes which keys were used.',
    'a duration, 1s to 30s',
    '5s',
    between(1_000, 30_000),
  ),
  refusalsPerSecond: defaulted(
    'KEYWRIGHT_REFUSALS_PER_SECOND',
    'How many refusals (`key_invalid`) a second one client network (/24, /64) gets in the long run, with a burst of ten times that; then `rate_limited`.',
    'a whole number, 1 to 100000',
    '10',
    wholeNumber(1, 100_000),
  ),
  maxStalenessMs: defaulted(
    'KEYWRIGHT_MAX_STALENESS',
    'How long the authorizer decides without proof that it reads the primary of the database; then its answer is `authorizer_stale`.',
    'a duration, 15s to 1h',
    '60s',
    between(15_000, 3_600_000),
  ),
  requireHeartbeat: defaulted(
    'KEYWRIGHT_REQUIRE_HEARTBEAT',
    "What proves the primary (see `KEYWRIGHT_MAX_STALENESS`). `auto`: the operator's heartbeat, or answers of most hosts of a URL with several; a single host is believed. `on`: the heartbeat alone, so that an operator that is down for longer stops the verify API. `off`: none.",
    '`auto`, `on` or `off`',
    'auto',
    z.enum(['auto', 'on', 'off']),
  ),
  metricsAddress: defaulted(
    'KEYWRIGHT_METRICS_ADDRESS',
    'Where `/healthz`, `/readyz` and `/metrics` are served.',
    addressForm,
    ':9090',
    address,
  ),
  listenAddress: defaulted(
    'KEYWRIGHT_LISTEN_ADDRESS',
    'Where `/v1/verify` is served. Callers must present a token or a certificate as configured below; on loopback and a Unix socket, neither need be configured.',
    addressForm,
    '127.0.0.1:8080',
    address,
  ),
  maxConnections: defaulted(
    'KEYWRIGHT_MAX_CONNECTIONS',
    'The most connections that the verify listener keeps open. Half of them are for callers that have proven themselves. All others may take half of the total, or with TLS a quarter, because an unfinished handshake takes much memory; one address gets at most half of those. All bodies and answers in progress together may take 16 KiB times this number.',
    'a whole number, 64 to 65536',
    '1024',
    wholeNumber(64, 65_536),
  ),
  grpcAddress: reserved('KEYWRIGHT_GRPC_ADDRESS', 'Where the gRPC authorization service is served.', addressForm, address),
  adminAddress: reserved('KEYWRIGHT_ADMIN_ADDRESS', 'Where the administration API is served.', addressForm, address),
  tlsCertFile: inUse(
    'KEYWRIGHT_TLS_CERT_FILE',
    'The certificate chain of the verify listener, PEM. Read again when it changes, with its key.',
    pathForm,
    filePath,
  ),
  tlsKeyFile: inUse('KEYWRIGHT_TLS_KEY_FILE', 'The private key of that certificate, PEM.', pathForm, filePath),
  clientCaFile: inUse(
    'KEYWRIGHT_CLIENT_CA_FILE',
    'Callers with a client certificate of these authorities are admitted, PEM. Read again when it changes: connections of an authority that is gone end.',
    pathForm,
    filePath,
  ),
  callerTokensFile: inUse(
    'KEYWRIGHT_CALLER_TOKENS_FILE',
    'Callers with one of these tokens in the header `Keywright-Caller` are admitted: `{"<name>":"<SHA-256 of the token, hex>"}`. Read again when it changes.',
    pathForm,
    filePath,
  ),
  trustedProxies: reserved(
    'KEYWRIGHT_TRUSTED_PROXIES',
    'The proxies whose `X-Forwarded-For` is believed.',
    'addresses or CIDR ranges, separated by commas',
    commaList(cidrPattern),
  ),
  redisUrl: reserved('KEYWRIGHT_REDIS_URL', 'A Redis for exact rate limits.', '`redis://host[:port]`', redisUrl),
  logLevel: defaulted(
    'KEYWRIGHT_LOG_LEVEL',
    'The least important line that is logged.',
    logLevels.map((level) => `\`${level}\``).join(', '),
    'info',
    z.enum(logLevels),
  ),
} as const;

type Variables = typeof variables;

/** The configuration of one process: milliseconds for durations, `undefined` for what was not given. Frozen. */
export type Config = { readonly [K in keyof Variables]: Variables[K] extends Variable<infer T> ? T : never };

/** All faults of the environment at once (exit 2). Texts of variables are never repeated: some are secret. */
export class ConfigFault extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(
      `the configuration has ${faults.length === 1 ? 'a fault' : `${String(faults.length)} faults`}:\n${faults.map((fault) => `  ${fault}`).join('\n')}`,
    );
    this.name = 'ConfigFault';
    this.faults = faults;
  }
}

/** What a command cannot do without: names of {@link Config} whose variables have no default. */
export type Needs = readonly (keyof Config)[];

/**
 * Reads the environment once. An empty variable counts as absent. Throws {@link ConfigFault}, also for what is needed
 * and not there; a name that begins with `KEYWRIGHT_` and is none of ours is a fault, because a mistyped name would
 * silently do nothing.
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>>, needs: Needs = []): Config {
  const faults = unknownNames(environment).map(
    (name) => `${name}: there is no such variable${didYouMean(name, variableNames())}`,
  );
  const values: Record<string, unknown> = {};
  for (const [field, variable] of Object.entries(variables) as [string, Variable<unknown>][]) {
    const text = environment[variable.name] ?? '';
    const effective = text === '' ? variable.fallback : text;
    if (effective === undefined) {
      if (needs.includes(field as keyof Config)) faults.push(`${variable.name}: must be set, to ${variable.form}`);
      continue;
    }
    const result = variable.schema.safeParse(effective);
    if (result.success) values[field] = result.data;
    else faults.push(`${variable.name}: must be ${variable.form}`);
  }
  const config = values as Partial<Config>;
  faults.push(...contradictions(config));
  if (faults.length > 0) throw new ConfigFault(faults);
  return Object.freeze(config) as Config;
}

/** One row of the generated reference. */
export interface ConfigEntry {
  readonly name: string;
  readonly description: string;
  readonly form: string;
  readonly default: string | undefined;
  /** False: the name is accepted and its text checked, without an effect yet. */
  readonly inUse: boolean;
}

/** Every variable, in the order of the reference. */
export function describeConfig(): readonly ConfigEntry[] {
  return (Object.values(variables) as Variable<unknown>[]).map(({ name, description, form, fallback, inUse: used }) => ({
    name,
    description,
    form,
    default: fallback,
    inUse: used,
  }));
}

/**
 * What Kubernetes puts into every container for a Service whose name begins with `keywright`: not ours to judge.
 * See "Discovering services, environment variables" in the Kubernetes documentation.
 */
const servicePattern =
  /^KEYWRIGHT_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/;

function variableNames(): readonly string[] {
  return Object.values(variables).map((variable) => variable.name);
}

function unknownNames(environment: Readonly<Record<string, string | undefined>>): readonly string[] {
  const known = new Set(variableNames());
  return Object.keys(environment)
    .filter((name) => name.startsWith('KEYWRIGHT_') && !known.has(name) && !servicePattern.test(name))
    .sort();
}

function contradictions(config: Partial<Config>): readonly string[] {
  const faults: string[] = [];
  if ((config.tlsCertFile === undefined) !== (config.tlsKeyFile === undefined)) {
    faults.push('KEYWRIGHT_TLS_CERT_FILE, KEYWRIGHT_TLS_KEY_FILE: one needs the other');
  }
  if (config.clientCaFile !== undefined && config.tlsCertFile === undefined) {
    faults.push('KEYWRIGHT_CLIENT_CA_FILE: needs KEYWRIGHT_TLS_CERT_FILE and KEYWRIGHT_TLS_KEY_FILE');
  }
  const listen = config.listenAddress;
  if (
    listen !== undefined &&
    !isLocalAddress(listen) &&
    config.clientCaFile === undefined &&
    config.callerTokensFile === undefined
  ) {
    faults.push(
      'KEYWRIGHT_LISTEN_ADDRESS: is reachable from outside, and needs KEYWRIGHT_CALLER_TOKENS_FILE or KEYWRIGHT_CLIENT_CA_FILE',
    );
  }
  return faults;
}

function inUse<T>(
  name: Variable<T>['name'],
  description: string,
  form: string,
  schema: z.ZodType<T, string>,
): Variable<T | undefined> {
  return { name, description, form, schema, inUse: true };
}

function reserved<T>(
  name: Variable<T>['name'],
  description: string,
  form: string,
  schema: z.ZodType<T, string>,
): Variable<T | undefined> {
  return { name, description, form, schema, inUse: false };
}

function defaulted<T>(
  name: Variable<T>['name'],
  description: string,
  form: string,
  fallback: string,
  schema: z.ZodType<T, string>,
): Variable<T> {
  return { name, description, form, fallback, schema, inUse: true };
}

function commaList(item: RegExp): z.ZodType<readonly string[], string> {
  return z
    .string()
    .transform((text) => text.split(',').map((entry) => entry.trim()))
    .refine((entries) => entries.every((entry) => item.test(entry)));
}

function wholeNumber(least: number, most: number): z.ZodType<number, string> {
  return z
    .string()
    .regex(/^[0-9]{1,9}$/)
    .transform(Number)
    .refine((value) => value >= least && value <= most);
}

function between(leastMs: number, mostMs: number): z.ZodType<number, string> {
  return duration.refine((ms) => ms >= leastMs && ms <= mostMs);
}
