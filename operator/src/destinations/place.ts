import type { KeyDestination } from '../api/kinds.ts';
import { canonicalJson } from '../domain/canonical.ts';

/**
 * The place where a KeyDestination keeps values: its immutable fields, and for AWS what decides the account. A name may mean one
 * place today and another one tomorrow, because somebody can delete the object and create another one; two objects with the same
 * text are the same place, whatever their uids. Canonical JSON, at most about 2,500 characters: the audit keeps it, so that people
 * can read where values went after the object is gone. It holds no secret: the schema permits no credentials in an address.
 *
 * The login of Vault is no part of it: address, mount, namespace and path say alone where a value goes.
 */
export function placeOf({ spec: { vault, aws } }: Pick<KeyDestination, 'spec'>): string {
  const place = {
    ...(vault === undefined
      ? {}
      : { vault: { address: vault.address, mount: vault.mount, path: vault.path, namespace: vault.namespace } }),
    ...(aws === undefined
      ? {}
      : { aws: { region: aws.region, name: aws.name, endpoint: aws.endpoint, login: loginOf(aws.auth) } }),
  };
  return canonicalJson(place);
}

/**
 * What decides in which account the names of AWS lie: that of an assumed role, or else the one that the login belongs to. Only AWS
 * knows that one, so the name of the Secret stands for it, all of which lie in one namespace, whatever the Secret contains.
 */
function loginOf({ roleArn, secretRef }: NonNullable<KeyDestination['spec']['aws']>['auth']): string {
  if (roleArn !== undefined) return `account ${roleArn.split(':')[4] ?? ''}`;
  return secretRef === undefined ? 'irsa' : `Secret ${secretRef.name}`;
}
