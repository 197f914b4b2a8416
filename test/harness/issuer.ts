import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';

import type { ApiKeyRef } from '../../operator/src/domain/key.ts';
import type { Plaintext } from '../../operator/src/domain/plaintext.ts';
import { systemClock } from '../../operator/src/domain/time.ts';
import type { Instant } from '../../operator/src/domain/time.ts';
import { mintToken } from '../../operator/src/keys/mint.ts';
import { PepperRing } from '../../operator/src/keys/pepper.ts';
import type { CatalogRow, OwnerRow, Store } from '../../operator/src/store/port.ts';
import { openPostgresStore } from '../../operator/src/store/postgres/store.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { catalogRow, ownerRow } from '../builders/clusterrows.ts';
import { mintRequest } from '../builders/mintrequest.ts';

/** An ApiKey in the store, and the value that its client presents. */
export interface Issued {
  readonly ref: ApiKeyRef;
  readonly keyId: string;
  readonly token: Plaintext;
}

/** Makes keys straight in a store, as the operator does, for tests of verdicts. */
export class Issuer {
  readonly catalog: CatalogRow = catalogRow({ uid: 'catalog-1' });
  readonly owner: OwnerRow = ownerRow({ uid: 'owner-1' });
  /** The instant at which this issuer was opened. */
  readonly now: Instant = systemClock.now();
  readonly store: Store;
  readonly #ring: PepperRing;

  private constructor(store: Store, ring: PepperRing) {
    this.store = store;
    this.#ring = ring;
  }

  /** Takes leadership in the database, and puts one catalog and one owner there who may do everything. */
  static async open(options: { readonly databaseUrl: string; readonly peppersFile: string }): Promise<Issuer> {
    const store = openPostgresStore({ url: options.databaseUrl, clock: systemClock, log: silentLog });
    const issuer = new Issuer(store, PepperRing.parse(readFileSync(options.peppersFile, 'utf8')));
    await store.takeFence();
    await store.saveCatalog(issuer.catalog, issuer.now);
    await store.saveOwner(issuer.owner, issuer.now);
    return issuer;
  }

  /** An active key. `ring`: another one than the file's. */
  async issue(changes: { readonly expiresAt?: Instant; readonly ring?: PepperRing } = {}): Promise<Issued> {
    const { token, keyId, display } = this.stranger();
    const { expiresAt = this.now + 3_600_000, ring = this.#ring } = changes;
    const version = { keyId, display, expiresAt, ownerUid: this.owner.uid, ...ring.hash(token) };
    const request = mintRequest({ now: this.now - 3_600_000, version });
    const outcomes = [await this.store.mint(request), await this.store.activate(request.ref.uid, keyId, undefined, this.now)];
    if (outcomes.some((outcome) => outcome !== 'done')) throw new Error('the key could not be made');
    return { ref: request.ref, keyId, token };
  }

  /** A well-formed token that no store has seen. */
  stranger(): { readonly token: Plaintext; readonly keyId: string; readonly display: string } {
    return mintToken({ prefix: 'acme', environment: 'live', random: randomBytes });
  }

  async close(): Promise<void> {
    await this.store.close();
  }
}
