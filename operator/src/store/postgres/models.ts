import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';

import { digestOf } from '../digest.ts';
import type { CatalogModel } from '../../domain/catalog.ts';
import type { CatalogRow } from '../port.ts';
import { catalogJson } from './rows.ts';

/** More catalogs than this are read in full again and again, which is slow and right. */
const capacity = 64;

/** A row of `catalog` as JSON; `model` is null where the reader has it. */
export type CatalogHeadJson = Omit<CatalogRow, 'model'> & { readonly model: CatalogModel | null };

/**
 * The models that this process has read. A model has hundreds of kilobytes and changes rarely; each reading says which ones
 * it has, in the same round trip, and gets only those that it lacks. What is in force is always the database's answer.
 */
export class CatalogModels {
  /** By uid and digest: a digest stands for one model of one catalog. In the order of their reading. */
  readonly #models: Map<string, CatalogModel> = new Map();

  /**
   * A query of `catalog` under this alias, and what turns its results into rows. Where one catalog is joined to many rows, only
   * one of them carries the model: call `learn` for every result before the first `complete`.
   */
  reading(alias: string): {
    readonly json: RawBuilder<CatalogHeadJson>;
    readonly learn: (row: CatalogHeadJson) => void;
    readonly complete: (row: CatalogHeadJson) => CatalogRow;
  } {
    // A copy: the answer counts on what was offered, whatever other readings do meanwhile.
    const offered = new Map(this.#models);
    const key = sql`${sql.ref(`${alias}.uid`)} || ' ' || ${sql.ref(`${alias}.digest`)}`;
    return {
      json: sql<CatalogHeadJson>`case when ${key} = any(${[...offered.keys()]}::text[])
          or row_number() over (partition by ${sql.ref(`${alias}.uid`)}) > 1
        then json_build_object('uid', ${sql.ref(`${alias}.uid`)}, 'name', ${sql.ref(`${alias}.name`)}, 'digest', ${sql.ref(`${alias}.digest`)}, 'model', null)
        else ${catalogJson(alias)} end`,
      learn: ({ uid, digest, model }) => {
        if (model === null) return;
        offered.set(`${uid} ${digest}`, model);
        // Anybody who can write to the table can put another model under a digest: it counts only while it is there, so it is not kept.
        if (digestOf(model) === digest) this.#keep(`${uid} ${digest}`, model);
      },
      complete: ({ uid, name, digest }) => {
        const model = offered.get(`${uid} ${digest}`);
        if (model === undefined) throw new TypeError('a catalog without the model that was asked for');
        return { uid, name, digest, model };
      },
    };
  }

  #keep(key: string, model: CatalogModel): void {
    this.#models.set(key, model);
    const [eldest] = this.#models.keys();
    if (this.#models.size > capacity && eldest !== undefined) this.#models.delete(eldest);
  }
}
