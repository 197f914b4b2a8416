import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { CredentialKind, WantedCredential } from '../../../../operator/src/destinations/credential.ts';
import { openLogin, type VaultAuthSpec } from '../../../../operator/src/destinations/vault/auth.ts';
import type { VaultAnswer, VaultCall, VaultServer } from '../../../../operator/src/destinations/vault/server.ts';
import { openVaultSession } from '../../../../operator/src/destinations/vault/session.ts';
import { Failure, waiting } from '../../../../operator/src/domain/failure.ts';
import { Plaintext } from '../../../../operator/src/domain/plaintext.ts';
import { credentialOf, vaultToken } from '../../../builders/credential.ts';
import { FakeClock } from '../../../harness/fakes/clock.ts';

const minute = 60_000;
const place = { address: 'https://vault.example.com:8200', isListed: false };
const kubernetes: VaultAuthSpec = { kubernetes: { role: 'keywright' } };
const appRole: VaultAuthSpec = { appRole: { roleId: 'role-1', secretRef: { name: 'vault-approle' } } };
const given: VaultAuthSpec = { token: { secretRef: { name: 'vault-token' } } };

/** `canary-secret-2` in the form of a token, or of a secret id. */
function inFormOf(kind: CredentialKind, name: string): string {
  return kind === 'vault-token' ? vaultToken(name) : secretId(Number(/[0-9]$/.exec(name)?.[0] ?? 1));
}
const secretId = (number: number) => `ca9a4e00-0000-0000-0000-${String(number).padStart(12, '0')}`;

type Script = (call: VaultCall) => VaultAnswer | Promise<VaultAnswer>;
const answered = (statusCode: number): VaultAnswer => ({
  kind: statusCode === 403 ? 'denied' : statusCode === 404 ? 'missing' : 'refused',
  statusCode,
  body: { errors: ['the login was with canary-jwt canary-secret canary-token'] },
});
const lease = (token: string, seconds: number, renewable = true): VaultAnswer => ({
  kind: 'ok',
  statusCode: 200,
  body: { auth: { client_token: token, lease_duration: seconds, renewable } },
});
const down: Script = () => {
  throw waiting('DestinationUnavailable', 'the Vault server cannot be reached');
};

/** A server that gives an hour's lease, until the test lets it do something else. */
class World implements VaultServer {
  readonly clock = new FakeClock();
  /** Paths of the calls that came, with the token they came with. */
  readonly calls: string[] = [];
  secret: string | undefined = 'canary-secret';
  requested: string[] = [];
  logins = 0;
  onLogin: Script = () => lease(`canary-token-${this.logins}`, 3600);
  onRenewal: Script = (call) => lease(call.token?.reveal() ?? '', 3600);

  open(spec: VaultAuthSpec = kubernetes) {
    const sources = {
      readCredential: async (name: string, { kind }: WantedCredential) =>
        credentialOf(() => (this.secret === undefined ? undefined : inFormOf(kind, this.secret)))(name, { kind }, ''),
      requestToken: async (account: string, audience: string) => {
        this.requested.push(`${account} ${audience}`);
        return new Plaintext(`canary-jwt-${this.requested.length}`);
      },
    };
    return openVaultSession(this, openLogin(spec, sources, place), this.clock);
  }

  async send(call: VaultCall): Promise<VaultAnswer> {
    const isLogin = call.path.endsWith('/login');
    if (isLogin) this.logins += 1;
    this.calls.push(`${call.path.slice('auth/'.length)}${call.token === undefined ? '' : ` ${call.token.reveal()}`}`);
    await new Promise((resolve) => setImmediate(resolve));
    if (isLogin) return this.onLogin(call);
    return call.path.endsWith('/renew-self') ? this.onRenewal(call) : { kind: 'ok', statusCode: 204, body: undefined };
  }

  async close(): Promise<void> {}
}

async function failureOf(call: Promise<unknown>): Promise<Failure> {
  const error: unknown = await call.then(
    (value) => value,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Failure)) throw new Error(`no Failure: ${inspect(error)}`);
  const printed = `${error.stack}${inspect(error, { depth: 9, showHidden: true })}${JSON.stringify(error)}`;
  expect(printed).not.toMatch(/canary|ca9a4e00/);
  return error;
}

describe('a login to Vault', () => {
  it('is one for all who come while it is made', async () => {
    const world = new World();
    const session = world.open();
    const tokens = await Promise.all(Array.from({ length: 8 }, () => session.token()));
    expect(new Set(tokens.map((token) => token.reveal()))).toEqual(new Set(['canary-token-1']));
    expect(world.calls).toEqual(['kubernetes/login']);
    expect(world.requested).toEqual([`keywright-vault ${place.address}`]);
  });

  it('serves until two thirds of its lease, and is renewed by its next use then', async () => {
    const world = new World();
    const session = world.open();
    for (const minutes of [0, 20, 19]) {
      await world.clock.advance(minutes * minute);
      await session.token();
    }
    expect(world.calls).toEqual(['kubernetes/login']);
    await world.clock.advance(minute);
    expect((await session.token()).reveal()).toBe('canary-token-1');
    await world.clock.advance(39 * minute);
    await session.token();
    expect(world.calls).toEqual(['kubernetes/login', 'token/renew-self canary-token-1']);
  });

  it('is made anew when its lease cannot be renewed, as that of a batch token', async () => {
    const world = new World();
    world.onLogin = () => lease(`canary-token-${world.logins}`, 3600, false);
    const session = world.open();
    await session.token();
    await world.clock.advance(40 * minute);
    expect((await session.token()).reveal()).toBe('canary-token-2');
    expect(world.calls).toEqual(['kubernetes/login', 'kubernetes/login']);
  });

  it('is made anew after a renewal that was given less than before: the greatest life of the token is near', async () => {
    const world = new World();
    world.onRenewal = (call) => lease(call.token?.reveal() ?? '', 1200);
    const session = world.open();
    await session.token();
    await world.clock.advance(40 * minute);
    expect((await session.token()).reveal()).toBe('canary-token-1');
    await world.clock.advance(14 * minute);
    expect((await session.token()).reveal()).toBe('canary-token-2');
  });

  it.each([403, 400])('is made anew when its renewal is answered with %i', async (statusCode) => {
    const world = new World();
    world.onRenewal = () => answered(statusCode);
    const session = world.open();
    await session.token();
    await world.clock.advance(50 * minute);
    expect((await session.token()).reveal()).toBe('canary-token-2');
  });

  it('goes on while its lease holds and the server cannot be reached, and asks it each 15 s, not at every use', async () => {
    const world = new World();
    const session = world.open();
    await session.token();
    await world.clock.advance(45 * minute);
    world.onRenewal = down;
    world.onLogin = down;
    for (let use = 0; use < 5; use += 1) expect((await session.token()).reveal()).toBe('canary-token-1');
    expect(world.calls).toHaveLength(2);
    await world.clock.advance(15_000);
    await session.token();
    expect(world.calls).toHaveLength(3);
    await world.clock.advance(15 * minute);
    expect((await failureOf(session.token())).message).toBe('the Vault server cannot be reached');
  });

  it('whose lease has no end is used until the server denies it', async () => {
    const world = new World();
    world.onLogin = () => lease(`canary-token-${world.logins}`, 0, false);
    const session = world.open();
    await session.token();
    await world.clock.advance(9999 * minute);
    await session.token();
    expect(world.calls).toEqual(['kubernetes/login']);
  });

  it('of a very short lease is not renewed at every use', async () => {
    const world = new World();
    world.onLogin = () => lease('canary-token-1', 6);
    const session = world.open();
    await session.token();
    await world.clock.advance(4_500);
    await session.token();
    expect(world.calls).toEqual(['kubernetes/login']);
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['no token', { auth: { lease_duration: 60 } }],
    ['a token with a line break', { auth: { client_token: 'canary\ntoken', lease_duration: 60 } }],
    ['a second factor to give', { auth: { client_token: '', lease_duration: 0, mfa_requirement: {} } }],
    ['a lease below zero', { auth: { client_token: 'canary-token', lease_duration: -1 } }],
  ])('that is answered with %s is no login', async (_what, body) => {
    const world = new World();
    world.onLogin = () => ({ kind: 'ok', statusCode: 200, body });
    expect(await failureOf(world.open().token())).toMatchObject({
      kind: 'waiting',
      reason: 'DestinationUnavailable',
      message: 'no trustworthy answer from the Vault server; the log of the operator has the cause',
      detail: { class: 'answer', text: 'the answer to the login has an unknown shape' },
    });
  });
});

describe('a denial', () => {
  it('leads to one new login, whoever was denied', async () => {
    const world = new World();
    const session = world.open();
    const denied = await session.token();
    expect(await Promise.all([1, 2, 3].map(() => session.replace(denied)))).toEqual(['replaced', 'replaced', 'replaced']);
    expect((await session.token()).reveal()).toBe('canary-token-2');
    expect(world.logins).toBe(2);
  });

  it('that comes late, of a token that was replaced already, leads to none', async () => {
    const world = new World();
    const session = world.open();
    const denied = await session.token();
    await session.replace(denied);
    await world.clock.advance(2 * minute);
    expect(await session.replace(denied)).toBe('replaced');
    expect(world.logins).toBe(2);
  });

  it('leads to no second login within a minute, because a right that is missing looks the same', async () => {
    const world = new World();
    const session = world.open();
    await session.replace(await session.token());
    for (let time = 0; time < 5; time += 1) expect(await session.replace(await session.token())).toBe('same');
    expect(world.logins).toBe(2);
    await world.clock.advance(minute);
    expect(await session.replace(await session.token())).toBe('replaced');
    expect(world.logins).toBe(3);
  });

  it('is forgotten with the login when the new one fails: the next use makes it', async () => {
    const world = new World();
    const session = world.open();
    const denied = await session.token();
    const login = world.onLogin;
    world.onLogin = down;
    await failureOf(session.replace(denied));
    world.onLogin = login;
    expect((await session.token()).reveal()).toBe('canary-token-3');
  });
});

describe('a login that is refused', () => {
  it.each<[VaultAuthSpec, number, string]>([
    [
      kubernetes,
      403,
      'the Vault server refuses the login at kubernetes (403); is its role keywright there, for the ServiceAccount keywright-vault and the audience https://vault.example.com:8200?',
    ],
    [kubernetes, 404, 'the Vault server has no auth method mounted at kubernetes (404)'],
    [
      appRole,
      400,
      'the Vault server refuses the login at approle (400); are role id and the secret id in the Secret vault-approle valid?',
    ],
  ])('says so in our words: %j, %i', async (spec, statusCode, message) => {
    const world = new World();
    world.onLogin = () => answered(statusCode);
    expect(await failureOf(world.open(spec).token())).toMatchObject({ reason: 'DestinationUnavailable', message });
  });

  it('is not tried again at every use', async () => {
    const world = new World();
    const login = world.onLogin;
    world.onLogin = () => answered(403);
    const session = world.open();
    for (let use = 0; use < 5; use += 1) await failureOf(session.token());
    expect([world.logins, world.requested.length]).toEqual([1, 1]);
    world.onLogin = login;
    await world.clock.advance(10_000);
    await session.token();
    expect(world.logins).toBe(2);
  });

  it('is tried less than five times in 15 minutes with one secret id, and at once with another', async () => {
    const world = new World();
    world.onLogin = ({ body }) => (JSON.stringify(body).includes(secretId(2)) ? lease('canary-token', 3600) : answered(400));
    const session = world.open(appRole);
    for (let seconds = 0; seconds < 15 * 60; seconds += 15) {
      await failureOf(session.token());
      await world.clock.advance(15_000);
    }
    expect(world.logins).toBe(4);
    world.secret = 'canary-secret-2';
    await session.token();
  });
});

describe('a secret id', () => {
  it('that changes in its Secret is logged in with within a minute', async () => {
    const world = new World();
    const session = world.open(appRole);
    await session.token();
    world.secret = 'canary-secret-2';
    await world.clock.advance(minute);
    expect((await session.token()).reveal()).toBe('canary-token-2');
    await world.clock.advance(minute);
    await session.token();
    expect(world.logins).toBe(2);
  });

  it('that is taken away ends no login that holds', async () => {
    const world = new World();
    const session = world.open(appRole);
    await session.token();
    world.secret = undefined;
    await world.clock.advance(10 * minute);
    expect((await session.token()).reveal()).toBe('canary-token-1');
    await world.clock.advance(60 * minute);
    expect((await failureOf(session.token())).message).toMatch(
      /^the Secret vault-approle cannot be used here: .* and a secret id that Vault generated under secret-id$/,
    );
  });
});

describe('a token from a Secret', () => {
  it('is renewed like that of a login, because nobody else may do it', async () => {
    const world = new World();
    const session = world.open(given);
    for (const minutes of [0, 30, 10, 39]) {
      await world.clock.advance(minutes * minute);
      expect((await session.token()).reveal()).toBe(vaultToken('canary-secret'));
    }
    expect(world.calls).toEqual([
      `token/renew-self ${vaultToken('canary-secret')}`,
      `token/renew-self ${vaultToken('canary-secret')}`,
    ]);
  });

  it.each([400, 403])('that cannot be renewed (%i) is used as it is', async (statusCode) => {
    const world = new World();
    world.onRenewal = () => answered(statusCode);
    const session = world.open(given);
    expect((await session.token()).reveal()).toBe(vaultToken('canary-secret'));
    await world.clock.advance(9999 * minute);
    await session.token();
    expect(world.calls).toEqual([`token/renew-self ${vaultToken('canary-secret')}`]);
  });

  it('that changes is taken within a minute, and at once after a denial', async () => {
    const world = new World();
    const session = world.open(given);
    await session.token();
    world.secret = 'canary-secret-2';
    await world.clock.advance(minute);
    const second = await session.token();
    expect(second.reveal()).toBe(vaultToken('canary-secret-2'));
    expect(await session.replace(second)).toBe('same');
    world.secret = 'canary-secret-3';
    expect(await session.replace(second)).toBe('replaced');
    expect((await session.token()).reveal()).toBe(vaultToken('canary-secret-3'));
  });
});

describe('the end', () => {
  it('revokes the token of a login, and nothing works afterwards', async () => {
    const world = new World();
    const session = world.open();
    await session.token();
    await session.close();
    expect(world.calls).toEqual(['kubernetes/login', 'token/revoke-self canary-token-1']);
    await failureOf(session.token());
    expect(world.calls).toHaveLength(2);
  });

  it('waits for the login in flight, so that none is left behind', async () => {
    const world = new World();
    const session = world.open();
    const token = session.token();
    await session.close();
    await token;
    expect(world.calls).toEqual(['kubernetes/login', 'token/revoke-self canary-token-1']);
  });

  it('leaves a given token alone: it is not ours to revoke', async () => {
    const world = new World();
    const session = world.open(given);
    await session.token();
    await session.close();
    expect(world.calls).toEqual([`token/renew-self ${vaultToken('canary-secret')}`]);
  });

  it('does not fail because the server is gone', async () => {
    const world = new World();
    const session = world.open();
    await session.token();
    world.send = async () => down({ method: 'write', path: '' });
    await session.close();
  });
});

it('says in standalone mode that there is no cluster to log in with, naming the field', () => {
  const open = () => openLogin(kubernetes, { readCredential: credentialOf(() => undefined) }, place);
  expect(open).toThrow(expect.objectContaining({ kind: 'stalled', reason: 'InvalidSpec' }) as Error);
  expect(open).toThrow(/^spec\.vault\.auth\.kubernetes needs a Kubernetes cluster.* use spec\.vault\.auth\.appRole or spec/);
});

it('tells of an API server that issues no token as of a destination that cannot be reached', async () => {
  const world = new World();
  const requestToken = async () => {
    throw waiting('InternalError', 'the API server does not let us create TokenRequest (403): look at our role');
  };
  const login = openLogin(kubernetes, { readCredential: credentialOf(() => undefined), requestToken }, place);
  expect(await failureOf(openVaultSession(world, login, world.clock).token())).toMatchObject({
    kind: 'waiting',
    reason: 'DestinationUnavailable',
    message:
      'no login with spec.vault.auth.kubernetes: the API server does not let us create TokenRequest (403): look at our role',
  });
});
