import { Keywright, WorkloadKey, type WorkloadKeySpecArgs } from '@keywright/pulumi';
import * as pulumi from '@pulumi/pulumi';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runMocked, secretMark, settled } from '../../harness/pulumi/mocks.ts';

const spec: WorkloadKeySpecArgs = {
  displayName: 'Billing',
  catalog: 'default',
  owner: 'team',
  contactEmail: 'team@example.com',
  accessType: 'Integrations',
};

describe('a WorkloadKey', () => {
  it('is an ApiKey with a Secret, and what a Deployment needs to mount it', async () => {
    const { result, registered } = await runMocked(async () => {
      const key = new WorkloadKey('billing', { namespace: 'payments', spec });
      return { volume: await settled(key.volume), mount: await settled(key.volumeMount), env: await settled(key.env) };
    });
    expect(registered.map(({ type, name }) => [type, name])).toEqual([
      ['keywright:index:WorkloadKey', 'billing'],
      ['kubernetes:keywright.dev/v1alpha1:ApiKey', 'billing'],
    ]);
    expect(registered[1]?.sent.parent).toContain('keywright:index:WorkloadKey::billing');
    expect(registered[1]?.inputs).toMatchObject({
      metadata: { namespace: 'payments' },
      spec: { deliverTo: [{ name: 'workload', secret: { name: 'billing' } }] },
    });
    expect(result).toEqual({
      volume: { value: { name: 'billing', secret: { secretName: 'billing' } }, isKnown: true, isSecret: false },
      mount: { value: { name: 'billing', mountPath: '/bindings/billing', readOnly: true }, isKnown: true, isSecret: false },
      env: {
        value: [
          { name: 'SERVICE_BINDING_ROOT', value: '/bindings' },
          { name: 'API_KEY_FILE', value: '/bindings/billing/api-key' },
        ],
        isKnown: true,
        isSecret: false,
      },
    });
  });

  it('takes another Secret and folder, and a specification that comes later', async () => {
    const { result, registered } = await runMocked(async () => {
      const key = new WorkloadKey('billing', {
        spec: pulumi.output(spec),
        secretName: 'billing.key',
        bindingRoot: '/etc/keys',
      });
      return { mount: (await settled(key.volumeMount)).value, secret: (await settled(key.secretName)).value };
    });
    expect(result).toEqual({
      mount: { name: 'billing-key', mountPath: '/etc/keys/billing.key', readOnly: true },
      secret: 'billing.key',
    });
    expect(registered[1]?.inputs).toMatchObject({ spec: { owner: 'team', deliverTo: [{ secret: { name: 'billing.key' } }] } });
  });

  it('names the field at fault of its ApiKey', async () => {
    const wrong = { ...spec, channels: [] };
    await expect(runMocked(() => void new WorkloadKey('billing', { spec: wrong }))).rejects.toThrow(
      'spec.channels: must not be empty',
    );
  });
});

describe('Keywright', () => {
  const release = async (args: ConstructorParameters<typeof Keywright>[1]) => {
    const { result, registered } = await runMocked(async () => {
      const keywright = new Keywright('keywright', args);
      return { url: await settled(keywright.verifyUrl), caller: await settled(keywright.callerSecretName) };
    });
    return { ...result, inputs: registered.find(({ type }) => type === 'kubernetes:helm.sh/v3:Release')?.inputs };
  };

  it('is a Helm release of the chart that comes with the package', async () => {
    const { inputs, url, caller } = await release({ values: { database: { existingSecret: 'db' } } });
    expect(inputs?.['values']).toEqual({ database: { existingSecret: 'db' } });
    expect(inputs).toMatchObject({ name: 'keywright', namespace: 'keywright-system', createNamespace: true });
    const chart = String(inputs?.['chart']);
    expect(existsSync(join(chart, 'Chart.yaml'))).toBe(true);
    expect(url).toEqual({
      value: 'http://keywright-authorizer.keywright-system.svc:8080/v1/verify',
      isKnown: true,
      isSecret: false,
    });
    expect(caller.value).toBe('keywright-callers');
  });

  it('keeps the values secret when they hold the URL of the database, and nothing else', async () => {
    const { inputs, url } = await release({
      namespace: 'keys',
      values: { database: { url: 'postgres://u:p@h/d' }, authorizer: { tls: { existingSecret: 'tls' }, service: { port: 443 } } },
    });
    expect(inputs?.['values']).toHaveProperty(secretMark);
    expect(url).toMatchObject({ value: 'https://keywright-authorizer.keys.svc:443/v1/verify', isSecret: false });
  });
});
