import { createHash } from 'node:crypto';
import type { KeyDestination } from '../api/kinds.ts';
import { canonicalJson } from '../domain/canonical.ts';

/**
 * The digest of the place where a KeyDestination keeps values: its immutable fields, and the account of its role. A name may mean
 * one place today and another one tomorrow, because somebody can delete the object and create another one; two objects with the
 * same digest are the same place, whatever their uids. SHA-256, hex: nobody can find another place with the same digest.
 */
export function placeOf({ spec: { vault, aws } }: Pick<KeyDestination, 'spec'>): string {
  const place = {
    ...(vault === undefined
      ? {}
      : { vault: { address: vault.address, mount: vault.mount, path: vault.path, namespace: vault.namespace } }),
    ...(aws === undefined
      ? {}
      : { aws: { region: aws.region, name: aws.name, endpoint: aws.endpoint, account: accountOf(aws.auth.roleArn) } }),
  };
  return createHash('sha256').update(canonicalJson(place), 'utf8').digest('hex');
}

/** The account of an assumed role. Without a role, the account is that of the login, which only AWS knows. */
function accountOf(roleArn: string | undefined): string | undefined {
  return roleArn?.split(':')[4];
}
