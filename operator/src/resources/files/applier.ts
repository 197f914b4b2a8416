import type { KubeObject } from '../../api/meta.ts';
import type { Clock } from '../../domain/time.ts';
import type { Declaration, Declared, Fault } from './declared.ts';
import type { ObjectStore } from './objects.ts';
import type { Registry } from './registry.ts';
import type { ManifestSecrets } from './secrets.ts';
import { create, update } from './takeover.ts';

/** How many objects one look writes, so that a file of thousands does not delay a deletion by more than about a second. */
const takenOverAtOnce = 100;

/** What an {@link Applier} is made of. */
export interface ApplierInit {
  readonly root: string;
  readonly clock: Pick<Clock, 'now'>;
  readonly objects: ObjectStore;
  readonly secrets: ManifestSecrets;
  readonly registry: Registry;
  /** The file that an object comes from, by the path as given. */
  readonly sourceOfObject: (object: KubeObject) => string | undefined;
}

/** Makes objects of what is declared. */
export class Applier {
  readonly #init: ApplierInit;
  /** What was last taken over, so that an unchanged document costs nothing. */
  readonly #takenOver = new WeakMap<Declaration['document'], { readonly spec: unknown; readonly metadata: unknown }>();
  #lastWritten: string | undefined;

  constructor(init: ApplierInit) {
    this.#init = init;
  }

  /** Applies the changes of some declarations; `left` = how many more objects it may write. */
  async apply(
    declared: Declared,
    isMeant: (declaration: Declaration) => boolean,
  ): Promise<{ readonly faults: readonly Fault[]; readonly left: number }> {
    const faults: Fault[] = [];
    let left = takenOverAtOnce;
    for (const [id, declaration] of this.#inTurn(declared.declarations)) {
      if (!isMeant(declaration) || this.#isTakenOver(id, declaration)) continue;
      const { faults: refused, written } = await this.#init.registry.alone(() => this.#accept(id, declaration, declared));
      faults.push(...refused);
      if (written) this.#lastWritten = id;
      if (written && (left -= 1) === 0) break;
      // Comparing thousands of objects takes long: let others have their turn after each.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { faults, left };
  }

  /**
   * Changes of known objects before new ones, beginning after those that the last look wrote, so that none waits for all others.
   */
  #inTurn(declarations: Declared['declarations']): readonly (readonly [string, Declaration])[] {
    const all = [...declarations];
    const last = all.findIndex(([id]) => id === this.#lastWritten);
    const turned = [...all.slice(last + 1), ...all.slice(0, last + 1)];
    const isThere = ([id]: readonly [string, Declaration]): boolean => this.#init.objects.get(id) !== undefined;
    return [...turned.filter(isThere), ...turned.filter((one) => !isThere(one))];
  }

  /** Whether nothing has changed since this document was taken over. */
  #isTakenOver(id: string, { document }: Declaration): boolean {
    const before = this.#takenOver.get(document);
    const object = this.#init.objects.get(id);
    return object !== undefined && before !== undefined && before.spec === object.spec && before.metadata === object.metadata;
  }

  async #accept(
    id: string,
    declaration: Declaration,
    { held }: Declared,
  ): Promise<{ readonly faults: readonly Fault[]; readonly written: boolean }> {
    const { document, path } = declaration;
    if (document.type === 'secret') {
      const metadata = this.#init.secrets.accept(document.secret, path);
      if (metadata !== undefined) this.#init.registry.emit('Secret', 'upsert', metadata);
      return { faults: [], written: false };
    }
    const old = this.#init.objects.get(id);
    const ofObject = { ...declaration, document };
    if (old === undefined) {
      if (this.#init.objects.unreadableFile(id) !== undefined) return { faults: [], written: false };
      await this.#init.registry.put(create(ofObject, this.#init.clock.now()));
      return { faults: [], written: true };
    }
    const source = this.#init.sourceOfObject(old);
    const { put, faults } = update(old, ofObject, { root: this.#init.root, source, held });
    if (put !== undefined) await this.#init.registry.put(put);
    // Every look decides anew about objects that were refused, are held or are being deleted.
    else if (faults.length === 0 && source === path && old.metadata.deletionTimestamp === undefined)
      this.#takenOver.set(document, { spec: old.spec, metadata: old.metadata });
    return { faults, written: put !== undefined };
  }
}
