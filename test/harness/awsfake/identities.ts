import { randomBytes } from 'node:crypto';
import { AwsError } from './error.ts';
import { allows, readPolicy } from './policy.ts';
import type { PolicyDocument, Question } from './policy.ts';

/** What a client signs with; of a session also its token. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** Credentials that STS gave. */
export interface Session extends Required<Credentials> {
  readonly arn: string;
  readonly expiresAt: number;
}

/** Who may take a role, and what the role may do. */
export interface RoleOptions {
  readonly name: string;
  /** Without one the role may do everything. */
  readonly policy?: PolicyDocument;
  /** AssumeRole must name it. */
  readonly externalId?: string;
  /** Whether a web identity's token opens it, instead of AssumeRole; see {@link Identities.issueWebIdentity}. */
  readonly webIdentity?: boolean;
}

/** Somebody whose signature was right. */
export interface Caller {
  readonly arn: string;
  may(question: Question): boolean;
}

interface Key {
  readonly credentials: Credentials;
  readonly caller: Caller;
  readonly expiresAt: number;
}

const DEFAULT_SESSION_SECONDS = 3600;

/** The users, roles and sessions of one account (IAM and STS). */
export class Identities {
  readonly #account: string;
  readonly #now: () => number;
  readonly #keys = new Map<string, Key>();
  readonly #roles = new Map<string, RoleOptions>();
  /** Web identity token → whether it has expired. */
  readonly #webIdentities = new Map<string, 'valid' | 'expired'>();

  constructor(account: string, now: () => number) {
    this.#account = account;
    this.#now = now;
  }

  /** A user's new access key. Without a policy it may do everything. */
  createUser(policy?: PolicyDocument): Credentials {
    const credentials = { accessKeyId: accessKeyId('AKIA'), secretAccessKey: randomBytes(30).toString('base64') };
    const arn = `arn:aws:iam::${this.#account}:user/${credentials.accessKeyId.toLowerCase()}`;
    this.#keys.set(credentials.accessKeyId, { credentials, caller: callerOf(arn, policy), expiresAt: Infinity });
    return credentials;
  }

  /** Gives the role's ARN. */
  createRole(options: RoleOptions): string {
    const arn = `arn:aws:iam::${this.#account}:role/${options.name}`;
    if (options.policy !== undefined) readPolicy(options.policy);
    this.#roles.set(arn, options);
    return arn;
  }

  /** A token such as a pod's projected one, which opens every role with `webIdentity`. */
  issueWebIdentity(): string {
    const token = `eyJ${randomBytes(24).toString('base64url')}`;
    this.#webIdentities.set(token, 'valid');
    return token;
  }

  expireWebIdentity(token: string): void {
    this.#webIdentities.set(token, 'expired');
  }

  /** Ends an access key (as a deleted one) or a session (as an expired one). */
  end(accessKeyId: string): void {
    const key = this.#keys.get(accessKeyId);
    if (key?.credentials.sessionToken === undefined) this.#keys.delete(accessKeyId);
    else this.#keys.set(accessKeyId, { ...key, expiresAt: 0 });
  }

  /** Ends all sessions that STS gave so far. */
  endSessions(): void {
    for (const [id, key] of this.#keys) if (key.credentials.sessionToken !== undefined) this.end(id);
  }

  /** The secret that a signature must be made with. */
  secretOf(accessKeyId: string): string {
    const key = this.#keys.get(accessKeyId);
    if (key === undefined) throw unrecognized();
    return key.credentials.secretAccessKey;
  }

  /** Who signs with this access key, once the signature is proved. */
  callerOf(accessKeyId: string, sessionToken: string | undefined): Caller {
    const key = this.#keys.get(accessKeyId);
    if (key === undefined || key.credentials.sessionToken !== sessionToken) throw unrecognized();
    if (key.expiresAt <= this.#now())
      throw new AwsError('ExpiredTokenException', 'The security token included in the request is expired');
    return key.caller;
  }

  /** STS AssumeRole. */
  assumeRole(caller: Caller, roleArn: string, name: string, externalId: string | undefined, seconds?: number): Session {
    const role = this.#roles.get(roleArn);
    const trusted = role !== undefined && role.webIdentity !== true && role.externalId === externalId;
    if (!trusted || !caller.may({ action: 'sts:AssumeRole', resource: roleArn, context: new Map() }))
      throw new AwsError(
        'AccessDenied',
        `User: ${caller.arn} is not authorized to perform: sts:AssumeRole on resource: ${roleArn}`,
        403,
      );
    return this.#open(role, name, seconds);
  }

  /** STS AssumeRoleWithWebIdentity. */
  assumeRoleWithWebIdentity(token: string, roleArn: string, name: string, seconds?: number): Session {
    const state = this.#webIdentities.get(token);
    if (state === undefined)
      throw new AwsError('InvalidIdentityToken', "Couldn't retrieve verification key from your identity provider");
    if (state === 'expired')
      throw new AwsError('ExpiredTokenException', 'Token expired: current date/time must be before the expiration date/time');
    const role = this.#roles.get(roleArn);
    if (role?.webIdentity !== true)
      throw new AwsError('AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity', 403);
    return this.#open(role, name, seconds);
  }

  #open(role: RoleOptions, name: string, seconds = DEFAULT_SESSION_SECONDS): Session {
    if (seconds < 900 || seconds > 43_200) throw new AwsError('ValidationError', 'DurationSeconds must be between 900 and 43200');
    const session: Session = {
      accessKeyId: accessKeyId('ASIA'),
      secretAccessKey: randomBytes(30).toString('base64'),
      sessionToken: randomBytes(60).toString('base64'),
      arn: `arn:aws:sts::${this.#account}:assumed-role/${role.name}/${name}`,
      expiresAt: this.#now() + seconds * 1000,
    };
    const { arn, expiresAt, ...credentials } = session;
    this.#keys.set(session.accessKeyId, { credentials, caller: callerOf(arn, role.policy), expiresAt });
    return session;
  }
}

function callerOf(arn: string, policy: PolicyDocument | undefined): Caller {
  const statements = policy === undefined ? undefined : readPolicy(policy);
  return { arn, may: (question) => statements === undefined || allows(statements, question) };
}

function accessKeyId(prefix: string): string {
  return `${prefix}${randomBytes(8).toString('hex').toUpperCase()}`;
}

function unrecognized(): AwsError {
  return new AwsError('UnrecognizedClientException', 'The security token included in the request is invalid.');
}
