/** Which ApiKey resource is meant. The uid tells a resource from a later one of the same name. */
export interface ApiKeyRef {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** A place in a destination: what the unique index of deliveries is about. */
export interface Location {
  /** The uid of the KeyDestination; `secret` for a Kubernetes Secret of the key's own namespace. */
  readonly destinationUid: string;
  /** Vault: `<mount>/<path>`; AWS: the secret's name; Secret and file: `<namespace>/<secret name>`. */
  readonly path: string;
}

/** The destination uid of a `secret:` target, which needs no KeyDestination. */
export const secretDestinationUid = 'secret';

/** `payments/billing-sync`, for logs, events and answers. */
export function formatRef(ref: { readonly namespace: string; readonly name: string }): string {
  return `${ref.namespace}/${ref.name}`;
}

/** One text for one location, usable as a map key. */
export function formatLocation(location: Location): string {
  return `${location.destinationUid}:${location.path}`;
}
