import { credentialLabel } from '../../operator/src/api/meta.ts';
import { addressAnnotation, type CredentialKind } from '../../operator/src/destinations/credential.ts';
import { noExtraEndpoints, type EndpointRules } from '../../operator/src/destinations/endpoint.ts';
import type { ReadCredential } from '../../operator/src/destinations/readcredential.ts';
import { Plaintext } from '../../operator/src/domain/plaintext.ts';

/** Whatever Secret and entry are asked for, this text; `undefined` = there is no such entry. */
export function credentialOf(text: () => string | undefined): ReadCredential {
  return async () => {
    const found = text();
    return () => (found === undefined ? undefined : new Plaintext(found));
  };
}

/** What a Secret bears that may be sent to a server; AWS has no address. */
export function credentialMetadata(kind: CredentialKind, address?: string) {
  return {
    labels: { [credentialLabel]: kind },
    ...(address === undefined ? {} : { annotations: { [addressAnnotation]: address } }),
  };
}

/** An installation that permits these endpoints of AWS and nothing else. */
export function permitAws(...awsEndpoints: readonly string[]): EndpointRules {
  return { ...noExtraEndpoints, awsEndpoints };
}

/** A token in the form of Vault's, whose name can be read in it. */
export function vaultToken(name: string): string {
  return `hvs.${name.padEnd(24, '0')}`;
}
