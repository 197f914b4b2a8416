/** The kinds of the API. */
export type KeywrightKind = 'ApiKey' | 'ApiCatalog' | 'KeyOwner' | 'KeyOwnerGroup' | 'KeyDestination';

/** Which resource of a program something is about: `ApiKey "billing"`. */
export interface Subject {
  readonly kind: KeywrightKind;
  /** The name of the resource in the program. */
  readonly name: string;
}
