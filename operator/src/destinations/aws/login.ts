import { readFile } from 'node:fs/promises';
import { stalled, waiting } from '../../domain/failure.ts';
import { parseInstant, type Clock } from '../../domain/time.ts';
import { hasShape, unusableCredential } from '../credential.ts';
import type { ReadCredential } from '../readcredential.ts';
import { call, sealed } from './call.ts';
import { keepLogin, sessionLogin, type Credentials, type Identity, type Login } from './credentials.ts';
import { garbage } from './faults.ts';
import type { Transport } from './transport.ts';

/** `spec.aws.auth` of a KeyDestination. */
export interface AwsAuthSpec {
  readonly irsa?: object | undefined;
  readonly roleArn?: string | undefined;
  readonly externalId?: string | undefined;
  readonly secretRef?: { readonly name: string } | undefined;
}

/**
 * What EKS tells a pod about its ServiceAccount's role, by variables that its webhooks set: AWS_ROLE_ARN and
 * AWS_WEB_IDENTITY_TOKEN_FILE (IRSA), or AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE
 * (Pod Identity). They are read where the process starts.
 */
export interface AwsEnvironment {
  readonly roleArn?: string | undefined;
  readonly webIdentityTokenFile?: string | undefined;
  readonly containerCredentialsUri?: string | undefined;
  readonly containerTokenFile?: string | undefined;
}

/** Whether the API server of the cluster accepts this text as a token. Throws if it gives no clear answer. */
export type IsAccepted = (token: string) => Promise<boolean>;

/** What a login needs. */
export interface LoginOptions {
  readonly auth: AwsAuthSpec;
  readonly environment: AwsEnvironment;
  readonly region: string;
  /** Another URL of STS; absent = that of the region. */
  readonly stsEndpoint: string | undefined;
  readonly readCredential: ReadCredential;
  readonly isAccepted: IsAccepted | undefined;
  readonly transport: Transport;
  readonly clock: Clock;
}

/** How long credentials that were read from their Secret are used before the Secret is looked at again. */
const secretCacheMs = 60_000;
/** The name under which the operator's sessions stand in CloudTrail. */
const sessionName = 'keywright-operator';
/** Where the agent of EKS Pod Identity listens (AWS SDKs and Tools Reference, container credential provider). */
const podIdentityAgents = ['169.254.170.23', '[fd00:ec2::23]', '127.0.0.1', 'localhost', '[::1]'];

/**
 * Chooses the way to log in that the KeyDestination names, and no other: the SDK's own chain would go on to a profile
 * in a home folder or to the role of the node.
 */
export function openCredentials(options: LoginOptions): Credentials {
  const { auth, clock } = options;
  if (auth.secretRef !== undefined) {
    const { name } = auth.secretRef;
    return keepLogin(() => readLogin(name, options.readCredential), clock);
  }
  const own = keepLogin(() => serviceAccountLogin(options), clock);
  if (auth.roleArn === undefined) return own;
  const { roleArn } = auth;
  return keepLogin(() => assumeRole(own, roleArn, options), clock);
}

async function readLogin(secret: string, readCredential: ReadCredential): Promise<Login> {
  const wanted = { kind: 'aws' } as const;
  const needed = 'access-key-id and secret-access-key';
  const entries = await readCredential(secret, wanted, needed);
  const read = (entry: 'access-key-id' | 'secret-access-key' | 'session-token') => {
    // Secrets made with `echo` end in a newline, which no signature survives.
    const text = entries(entry)?.reveal().trim();
    if (text === undefined || hasShape(entry, text)) return text;
    throw unusableCredential(secret, wanted, needed, `what it holds under ${entry} does not have the form that AWS gives it`);
  };
  const accessKeyId = read('access-key-id');
  const secretAccessKey = read('secret-access-key');
  const sessionToken = read('session-token');
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    throw unusableCredential(secret, wanted, needed, 'an entry is missing');
  }
  const identity = { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
  return { identity, refreshAfterMs: secretCacheMs, usableForMs: secretCacheMs };
}

/** The role of the operator's ServiceAccount: IRSA, else EKS Pod Identity. */
async function serviceAccountLogin(options: LoginOptions): Promise<Login> {
  const { roleArn, webIdentityTokenFile, containerCredentialsUri, containerTokenFile } = options.environment;
  if (roleArn !== undefined && webIdentityTokenFile !== undefined) {
    return webIdentityLogin(roleArn, await readToken(webIdentityTokenFile, options.isAccepted), options);
  }
  if (containerCredentialsUri !== undefined && containerTokenFile !== undefined) {
    return podIdentityLogin(containerCredentialsUri, await readToken(containerTokenFile, options.isAccepted), options);
  }
  throw stalled(
    'InvalidSpec',
    'the ServiceAccount of the operator has no role of AWS: annotate it with eks.amazonaws.com/role-arn or give it a Pod Identity association and restart the operator, or use spec.aws.auth.secretRef',
  );
}

/**
 * The file changes before its token expires, so every login reads it again. A token that the API server accepts would let its
 * receiver act as the operator, so it is sent to nobody, not even to AWS.
 */
async function readToken(path: string, isAccepted: IsAccepted | undefined): Promise<string> {
  const text = (await readFile(path, 'utf8').catch(() => '')).trim();
  if (text === '') throw waiting('DestinationUnavailable', 'the token of the ServiceAccount for AWS cannot be read');
  if ((await isAccepted?.(text)) !== true) return text;
  throw stalled(
    'InvalidSpec',
    'the API server of the cluster accepts the token of the ServiceAccount for AWS, so it is not sent: it must be a projected token of the audience sts.amazonaws.com',
  );
}

async function webIdentityLogin(roleArn: string, token: string, options: LoginOptions): Promise<Login> {
  const { sdk, client } = await openSts(options, async () => {
    throw garbage();
  });
  // This call is not signed: the token is the proof.
  const nobody: Credentials = { current: async () => ({ accessKeyId: '', secretAccessKey: '' }), renew: async () => 'same' };
  const answer = await call({ credentials: nobody, clock: options.clock }, 'sts:AssumeRoleWithWebIdentity', () =>
    client.send(
      new sdk.AssumeRoleWithWebIdentityCommand({ RoleArn: roleArn, RoleSessionName: sessionName, WebIdentityToken: token }),
    ),
  );
  return sessionOf(answer.kind === 'ok' ? answer.value.Credentials : undefined, options.clock);
}

async function assumeRole(own: Credentials, roleArn: string, options: LoginOptions): Promise<Login> {
  const { sdk, client } = await openSts(options, () => own.current());
  const { externalId } = options.auth;
  const answer = await call({ credentials: own, clock: options.clock }, 'sts:AssumeRole', () =>
    client.send(new sdk.AssumeRoleCommand({ RoleArn: roleArn, RoleSessionName: sessionName, ExternalId: externalId })),
  );
  return sessionOf(answer.kind === 'ok' ? answer.value.Credentials : undefined, options.clock);
}

/** STS is loaded with the first login that needs it. A client holds no connection of its own, so one per login will do. */
async function openSts({ region, stsEndpoint, transport }: LoginOptions, identity: () => Promise<Identity>) {
  const sdk = await import('@aws-sdk/client-sts');
  const client = new sdk.STSClient({
    ...sealed({ region, endpoint: stsEndpoint, handler: transport.handler, identity }),
    useGlobalEndpoint: false,
    sigv4aSigningRegionSet: [region],
  });
  return { sdk, client };
}

interface SessionAnswer {
  readonly AccessKeyId?: unknown;
  readonly SecretAccessKey?: unknown;
  readonly SessionToken?: unknown;
  readonly Expiration?: unknown;
}

function sessionOf(answer: SessionAnswer | undefined, clock: Clock): Login {
  const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken: sessionToken, Expiration } = answer ?? {};
  const expiresAt = Expiration instanceof Date ? Expiration.getTime() : undefined;
  if (typeof accessKeyId !== 'string' || typeof secretAccessKey !== 'string' || typeof sessionToken !== 'string') throw garbage();
  if (expiresAt === undefined || Number.isNaN(expiresAt)) throw garbage();
  return sessionLogin({ accessKeyId, secretAccessKey, sessionToken }, expiresAt, clock);
}

async function podIdentityLogin(uri: string, token: string, { transport, clock }: LoginOptions): Promise<Login> {
  const url = URL.parse(uri);
  if (url === null || !podIdentityAgents.includes(url.hostname)) {
    throw stalled('InvalidSpec', 'AWS_CONTAINER_CREDENTIALS_FULL_URI is not the address of the agent of EKS Pod Identity');
  }
  const credentials: Credentials = { current: async () => ({ accessKeyId: '', secretAccessKey: '' }), renew: async () => 'same' };
  const answer = await call({ credentials, clock }, 'eks-auth:AssumeRoleForPodIdentity', async () => {
    const { statusCode, body } = await transport.get(url.href, { authorization: token });
    if (statusCode !== 200) throw Object.assign(new Error('status'), { $metadata: { httpStatusCode: statusCode } });
    return parseObject(body);
  });
  const session = answer.kind === 'ok' ? answer.value : {};
  const { AccessKeyId, SecretAccessKey, Token, Expiration } = session;
  const endsAt = typeof Expiration === 'string' ? parseInstant(Expiration) : undefined;
  const expiration = endsAt === undefined ? undefined : new Date(endsAt);
  return sessionOf({ AccessKeyId, SecretAccessKey, SessionToken: Token, Expiration: expiration }, clock);
}

function parseObject(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(body.toString('utf8'));
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    throw garbage();
  }
}
