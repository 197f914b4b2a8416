import type { ApiKey } from '../api/kinds.ts';

/** The file that holds a key's value in this mode, for a `secret:` target that was delivered. */
export function valueFiles(key: ApiKey, dataFolder: string): readonly string[] {
  const { namespace = 'default' } = key.metadata;
  return key.spec.deliverTo.flatMap(({ name, secret }) => {
    const held = key.status?.destinations?.find((one) => one.name === name);
    return secret === undefined || held?.keyId === undefined ? [] : [`${dataFolder}/secrets/${namespace}/${secret.name}/api-key`];
  });
}
