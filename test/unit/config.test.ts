import { describe, expect, test } from 'vitest';

import { ConfigFault, describeConfig, readConfig } from '../../operator/src/config.ts';

function faultsOf(environment: Record<string, string>): readonly string[] {
  try {
    readConfig(environment);
  } catch (error) {
    if (error instanceof ConfigFault) return error.faults;
    throw error;
  }
  return [];
}

describe('the configuration', () => {
  test('has documented defaults, is frozen, and ignores what is not ours', () => {
    const config = readConfig({ PATH: '/bin', DEBUG: '*' });
    expect(config).toMatchObject({
      metricsAddress: { kind: 'tcp', host: undefined, port: 9090 },
      listenAddress: { kind: 'tcp', host: '127.0.0.1', port: 8080 },
      leaseDurationMs: 15_000,
      withdrawDeadlineMs: 600_000,
      orphanAfterMs: 480_000,
      deliverDeadlineMs: 3_600_000,
      driftIntervalMs: 21_600_000,
      logLevel: 'info',
      admission: 'required',
      consumers: 'off',
      leaderElection: 'on',
    });
    expect(Object.isFrozen(config)).toBe(true);
    expect(config.databaseUrl).toBeUndefined();
  });

  test('reads every variable that is promised', () => {
    const texts: Record<string, string> = {
      KEYWRIGHT_DATABASE_URL: 'postgres://keywright@db-0:5432,db-1/keywright?sslmode=verify-full',
      KEYWRIGHT_DATABASE_READ_URL: 'postgresql://keywright:pw@db-2/keywright',
      KEYWRIGHT_DATABASE_PASSWORD_FILE: '/run/password',
      KEYWRIGHT_PEPPERS_FILE: '/run/peppers.json',
      KEYWRIGHT_NAMESPACES: 'payments, shop',
      KEYWRIGHT_SECRET_NAMESPACES: 'payments',
      KEYWRIGHT_VAULT_ADDRESSES: 'https://Vault.example.com:443, http://[::1]:8200',
      KEYWRIGHT_AWS_ENDPOINTS: 'https://sts.example.com',
      KEYWRIGHT_INSECURE_DESTINATIONS: 'none',
      KEYWRIGHT_LOGIN_SERVICE_ACCOUNTS: 'keywright-vault,vault-b',
      KEYWRIGHT_ADMISSION: 'off',
      KEYWRIGHT_CONSUMERS: 'on',
      KEYWRIGHT_LEADER_ELECTION: 'off',
      KEYWRIGHT_LEASE_DURATION: '1m',
      KEYWRIGHT_CONCURRENCY: '4',
      KEYWRIGHT_WITHDRAW_DEADLINE: '1h30m',
      KEYWRIGHT_ORPHAN_AFTER: '30s',
      KEYWRIGHT_DELETION_GRACE: '0s',
      KEYWRIGHT_DELIVER_DEADLINE: '10s',
      KEYWRIGHT_DRIFT_INTERVAL: '24h',
      KEYWRIGHT_FEED_RETENTION: '24h',
      KEYWRIGHT_AUDIT_RETENTION: '9600h',
      KEYWRIGHT_VERSION_RETENTION: '720h',
      KEYWRIGHT_DELIVERY_RETENTION: '24h',
      KEYWRIGHT_FEED_POLL: '1s',
      KEYWRIGHT_USAGE_FLUSH: '5s',
      KEYWRIGHT_MAX_CONNECTIONS: '64',
      KEYWRIGHT_REFUSALS_PER_SECOND: '25',
      KEYWRIGHT_MAX_STALENESS: '1m',
      KEYWRIGHT_REQUIRE_HEARTBEAT: 'on',
      KEYWRIGHT_METRICS_ADDRESS: '[::1]:9000',
      KEYWRIGHT_LISTEN_ADDRESS: 'unix:/run/keywright.sock',
      KEYWRIGHT_GRPC_ADDRESS: ':9001',
      KEYWRIGHT_ADMIN_ADDRESS: '127.0.0.1:0',
      KEYWRIGHT_TLS_CERT_FILE: '/run/tls.crt',
      KEYWRIGHT_TLS_KEY_FILE: '/run/tls.key',
      KEYWRIGHT_CLIENT_CA_FILE: '/run/ca.crt',
      KEYWRIGHT_CALLER_TOKENS_FILE: '/run/callers.json',
      KEYWRIGHT_TRUSTED_PROXIES: '10.0.0.0/8,fd00::/8,192.0.2.1',
      KEYWRIGHT_REDIS_URL: 'rediss://redis:6379',
      KEYWRIGHT_LOG_LEVEL: 'trace',
    };
    const config = readConfig(texts);
    expect(Object.keys(texts).sort()).toEqual(
      describeConfig()
        .map((entry) => entry.name)
        .sort(),
    );
    expect(config.namespaces).toEqual(['payments', 'shop']);
    expect(config.secretNamespaces).toEqual(['payments']);
    expect(readConfig({ KEYWRIGHT_SECRET_NAMESPACES: 'none' }).secretNamespaces).toEqual([]);
    expect(config.vaultAddresses).toEqual(['https://vault.example.com', 'http://[::1]:8200']);
    expect(config.insecureDestinations).toEqual([]);
    expect(config.loginServiceAccounts).toEqual(['keywright-vault', 'vault-b']);
    expect(readConfig({}).loginServiceAccounts).toEqual(['keywright-vault']);
    expect(config.refusalsPerSecond).toBe(25);
    expect(config.withdrawDeadlineMs).toBe(5_400_000);
    expect(config.listenAddress).toEqual({ kind: 'unix', path: '/run/keywright.sock' });
    expect(config.metricsAddress).toEqual({ kind: 'tcp', host: '::1', port: 9000 });
    expect(config.trustedProxies).toEqual(['10.0.0.0/8', 'fd00::/8', '192.0.2.1']);
  });

  test('lists all faults in one message, and repeats no text of a variable', () => {
    const environment = {
      KEYWRIGHT_DATABASE_URL: 'mysql://root:hunter2@db',
      KEYWRIGHT_DRIFT_INTERVAL: '1 week',
      KEYWRIGHT_CONCURRENCY: '0',
      KEYWRIGHT_LOG_LEVEL: 'loud',
      KEYWRIGHT_DRIFT_INTERVALL: '1h',
      KEYWRIGHT_TLS_CERT_FILE: '/run/tls.crt',
    };
    const faults = faultsOf(environment);
    expect(faults.map((fault) => fault.split(':')[0])).toEqual([
      'KEYWRIGHT_DRIFT_INTERVALL',
      'KEYWRIGHT_DATABASE_URL',
      'KEYWRIGHT_CONCURRENCY',
      'KEYWRIGHT_DRIFT_INTERVAL',
      'KEYWRIGHT_LOG_LEVEL',
      'KEYWRIGHT_TLS_CERT_FILE, KEYWRIGHT_TLS_KEY_FILE',
    ]);
    const message = new ConfigFault(faults).message;
    for (const fault of faults) expect(message).toContain(fault);
    for (const text of ['hunter2', '1 week', 'loud']) expect(message).not.toContain(text);
  });

  test.each([
    ['KEYWRIGHT_LISTEN_ADDRESS', '8080'],
    ['KEYWRIGHT_LISTEN_ADDRESS', ':70000'],
    ['KEYWRIGHT_LISTEN_ADDRESS', 'unix:relative'],
    ['KEYWRIGHT_LISTEN_ADDRESS', 'http://127.0.0.1:80'],
    ['KEYWRIGHT_LEASE_DURATION', '0s'],
    ['KEYWRIGHT_LEASE_DURATION', '15'],
    ['KEYWRIGHT_FEED_POLL', '0h0m'],
    ['KEYWRIGHT_CONCURRENCY', '1e1'],
    ['KEYWRIGHT_NAMESPACES', 'payments,,shop'],
    ['KEYWRIGHT_NAMESPACES', 'Payments'],
    ['KEYWRIGHT_ADMISSION', 'Off'],
  ])('refuses %s=%s', (name, text) => {
    expect(faultsOf({ [name]: text })).toEqual([expect.stringMatching(new RegExp(`^${name}: must be `))]);
  });

  test('names what a command cannot do without, in the same message as the other faults', () => {
    const needs = ['databaseUrl', 'peppersFile'] as const;
    const environment = { KEYWRIGHT_PEPPERS_FILE: '', KEYWRIGHT_DATABASE_UR: 'x', KEYWRIGHT_CONCURRENCY: '0' };
    expect(() => readConfig(environment, needs)).toThrow(
      /4 faults:\n.*_UR: there is no such variable; did you mean KEYWRIGHT_DATABASE_URL\?\n.*_URL: must be set.*\n.*_FILE: must be set.*\n.*CONCURRENCY: must be /,
    );
    const given = { KEYWRIGHT_DATABASE_URL: 'postgres://a/b', KEYWRIGHT_PEPPERS_FILE: 'p.json' };
    expect(readConfig(given, needs).peppersFile).toBe('p.json');
  });

  test('takes a database on a Unix socket, and none without a host or a folder', () => {
    for (const url of ['postgresql:///db?host=/run/pg', 'postgres://u:p@/db?sslmode=disable&host=%2Frun%2Fpg&port=5433'])
      expect(readConfig({ KEYWRIGHT_DATABASE_URL: url }).databaseUrl).toBe(url);
    for (const url of ['postgres:///db', 'postgres://u@/db?host=', 'postgres://u@/db?ahost=/run', 'postgres://u@/db?host=run'])
      expect(faultsOf({ KEYWRIGHT_DATABASE_URL: url }), url).toHaveLength(1);
  });

  test('counts an empty variable as absent', () => {
    expect(readConfig({ KEYWRIGHT_LOG_LEVEL: '', KEYWRIGHT_DATABASE_URL: '' })).toEqual(readConfig({}));
  });

  test('leaves alone what Kubernetes injects for a Service of our name', () => {
    expect(
      faultsOf({
        KEYWRIGHT_SERVICE_HOST: '10.0.0.1',
        KEYWRIGHT_SERVICE_PORT: '80',
        KEYWRIGHT_PORT: 'tcp://10.0.0.1:80',
        KEYWRIGHT_PORT_80_TCP: 'tcp://10.0.0.1:80',
        KEYWRIGHT_PORT_80_TCP_ADDR: '10.0.0.1',
        KEYWRIGHT_AUTHORIZER_SERVICE_PORT_HTTP_VERIFY: '80',
        KEYWRIGHT_AUTHORIZER_PORT_80_TCP_PROTO: 'tcp',
      }),
    ).toEqual([]);
    expect(faultsOf({ KEYWRIGHT_PORTS: '80' })).toEqual(['KEYWRIGHT_PORTS: there is no such variable']);
  });

  test('refuses a verify listener that strangers could reach', () => {
    const fault =
      'KEYWRIGHT_LISTEN_ADDRESS: is reachable from outside, and needs KEYWRIGHT_CALLER_TOKENS_FILE or KEYWRIGHT_CLIENT_CA_FILE';
    expect(faultsOf({ KEYWRIGHT_LISTEN_ADDRESS: ':8080' })).toEqual([fault]);
    expect(faultsOf({ KEYWRIGHT_LISTEN_ADDRESS: '10.0.0.1:8080' })).toEqual([fault]);
    expect(faultsOf({ KEYWRIGHT_LISTEN_ADDRESS: ':8080', KEYWRIGHT_CALLER_TOKENS_FILE: '/run/callers.json' })).toEqual([]);
    expect(faultsOf({ KEYWRIGHT_LISTEN_ADDRESS: '127.0.0.1:8080' })).toEqual([]);
  });

  test('every variable has a description and a form for the reference', () => {
    for (const entry of describeConfig()) {
      expect(entry.description).toMatch(/\.$/);
      expect(entry.form).not.toBe('');
    }
  });
});
