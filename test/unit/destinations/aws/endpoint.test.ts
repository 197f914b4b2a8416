import { afterEach, expect, it, vi } from 'vitest';
import { openSecretsClient } from '../../../../operator/src/destinations/aws/client.ts';
import type { Credentials } from '../../../../operator/src/destinations/aws/credentials.ts';
import { openTransport } from '../../../../operator/src/destinations/aws/transport.ts';
import { FakeClock } from '../../../harness/fakes/clock.ts';

const credentials: Credentials = {
  current: async () => ({ accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'secret' }),
  renew: async () => 'same',
};

afterEach(() => {
  vi.unstubAllEnvs();
});

/** The host that a call goes to, and how it is signed. */
async function ask(region: string, endpoint?: string): Promise<{ readonly host: unknown; readonly scope: string | undefined }> {
  const transport = openTransport({ timeoutMs: 1000, mayLoopback: false });
  const asked: { readonly hostname: string; readonly headers: Record<string, string> }[] = [];
  const handler = Object.assign(transport.handler, {
    handle: async (request: (typeof asked)[number]) => {
      asked.push(request);
      return { response: { statusCode: 200, headers: {}, body: Buffer.from('{}') } };
    },
  });
  const client = await openSecretsClient({
    region,
    endpoint,
    transport: { ...transport, handler },
    credentials,
    clock: new FakeClock(),
  });
  await client.describe('keywright/payments/billing');
  await client.close();
  return {
    host: asked[0]?.hostname,
    scope: /Credential=AKIAEXAMPLE\/\d+\/([^,]+)/.exec(asked[0]?.headers['authorization'] ?? '')?.[1],
  };
}

it.each([
  ['eu-west-1', 'secretsmanager.eu-west-1.amazonaws.com'],
  ['cn-north-1', 'secretsmanager.cn-north-1.amazonaws.com.cn'],
])('asks the service of the region %s, whatever the environment says', async (region, host) => {
  const shell = {
    AWS_ENDPOINT_URL: 'http://shell.example.com',
    AWS_ENDPOINT_URL_SECRETS_MANAGER: 'http://shell.example.com',
    AWS_REGION: 'us-east-1',
    AWS_USE_FIPS_ENDPOINT: 'true',
    AWS_USE_DUALSTACK_ENDPOINT: 'true',
  };
  for (const [name, text] of Object.entries(shell)) vi.stubEnv(name, text);
  expect(await ask(region)).toEqual({ host, scope: `${region}/secretsmanager/aws4_request` });
});

it('asks the endpoint that is given, and signs for the region', async () => {
  expect(await ask('eu-west-1', 'https://secrets.example.com')).toEqual({
    host: 'secrets.example.com',
    scope: 'eu-west-1/secretsmanager/aws4_request',
  });
});
