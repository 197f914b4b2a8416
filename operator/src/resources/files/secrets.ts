import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';

import type { ObjectMeta } from '../../api/meta.ts';
import type { SecretObject, Secrets } from '../port.ts';
import { formatId } from './content.ts';
import type { SecretDocument } from './core.ts';

type Name = { readonly namespace: string; readonly name: string };

/** The Secret manifests, for `secretRef`s. In memory only; uids last as long as this process. */
export class ManifestSecrets implements Secrets {
  readonly #secrets = new Map<string, SecretObject>();
  /** The last accepted document of each, and its file. */
  readonly #accepted = new Map<string, { readonly document: SecretDocument; readonly path: string }>();
  readonly #nextVersion: () => string;

  constructor(nextVersion: () => string) {
    this.#nextVersion = nextVersion;
  }

  async read(ref: Name): Promise<SecretObject | undefined> {
    return this.#secrets.get(formatId('Secret', ref));
  }

  async readMetadata(ref: Name): Promise<ObjectMeta | undefined> {
    return this.#secrets.get(formatId('Secret', ref))?.metadata;
  }

  async write(): Promise<never> {
    throw new Error('the standalone mode writes no Kubernetes Secrets: the file destination serves secret targets');
  }

  async remove(): Promise<never> {
    throw new Error('the standalone mode removes no Kubernetes Secrets: the file destination serves secret targets');
  }

  /** Each Secret's id and file. */
  sources(): readonly { readonly id: string; readonly path: string }[] {
    return [...this.#accepted].map(([id, { path }]) => ({ id, path }));
  }

  /** Takes over a Secret of the manifest `path`; `undefined` = nothing has changed. */
  accept(document: SecretDocument, path: string): ObjectMeta | undefined {
    const { namespace, name, labels = {}, annotations = {}, type, data } = document;
    const id = formatId('Secret', { namespace, name });
    // The same document object as at the last look means no change: comparing large Secrets would be slow.
    const accepted = this.#accepted.get(id);
    if (accepted?.document === document && accepted.path === path) return undefined;
    this.#accepted.set(id, { document, path });
    const old = this.#secrets.get(id);
    const before = [old?.metadata.labels, old?.metadata.annotations, old?.type, old?.data];
    if (isDeepStrictEqual(before, [labels, annotations, type, data])) return undefined;
    const metadata: ObjectMeta = {
      namespace,
      name,
      labels,
      annotations,
      uid: old?.metadata.uid ?? randomUUID(),
      resourceVersion: this.#nextVersion(),
    };
    this.#secrets.set(id, { metadata, type, data });
    return metadata;
  }

  /** Forgets one whose manifest is gone. */
  forget(id: string): ObjectMeta | undefined {
    const metadata = this.#secrets.get(id)?.metadata;
    this.#secrets.delete(id);
    this.#accepted.delete(id);
    return metadata;
  }
}
