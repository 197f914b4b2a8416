import type { AccessType, Endpoint, GrantRule, Selections } from './catalog.ts';
import type { CatalogIndex } from './catalogindex.ts';

/** A set of names: everything that the catalog lists now, or exactly these, sorted. */
export type Names = 'All' | readonly string[];

/** The entry of a rule's list that means everything the catalog lists now. */
const everything = '*';

/** What the rights of a key are computed from. */
export interface RightsInput {
  readonly index: CatalogIndex;
  /** The name of the key's access type; unknown to the catalog = nothing is reached. */
  readonly accessType: string;
  readonly selections: Selections;
  /** The owner's rules for this catalog, see {@link rulesFor}. */
  readonly rules: readonly GrantRule[];
}

/** What the rules that cover one request give, narrowed to the key's selection and to what the catalog lists. */
export interface Coverage {
  /** Without the rows of `customerChannels`, which depend on the customer. */
  readonly channels: Names;
  readonly attributes: Names;
}

/** The rules of one catalog among those of an owner and of its groups. */
export function rulesFor(
  catalog: string,
  owner: { readonly rules: readonly GrantRule[] } | undefined,
  groups: readonly { readonly rules: readonly GrantRule[] }[],
): readonly GrantRule[] {
  // Groups give nothing of their own: without its owner a key has no rights.
  if (owner === undefined) return [];
  return [owner, ...groups].flatMap(({ rules }) => rules.filter((rule) => rule.catalog === catalog));
}

/** Whether one rule covers the endpoint of this number: by its name, or by a scope that contains it. */
export function coversEndpoint(rule: GrantRule, index: CatalogIndex, number: number): boolean {
  const endpoint = index.model.endpoints[number];
  if (endpoint === undefined || (endpoint.admin && !rule.admin)) return false;
  if (rule.endpoints.includes(everything) || rule.endpoints.includes(endpoint.name)) return true;
  const scopes = index.scopesOf[number] ?? [];
  return scopes.length > 0 && (rule.scopes.includes(everything) || scopes.some((scope) => rule.scopes.includes(scope)));
}

/** Whether one rule covers the application; `undefined` = the request names none, which only `*` covers. */
export function coversApplication(rule: GrantRule, application: string | undefined): boolean {
  return rule.applications.includes(everything) || (application !== undefined && rule.applications.includes(application));
}

/** Whether any rule lists the access type. */
export function holdsAccessType(rules: readonly GrantRule[], accessType: string): boolean {
  return rules.some(({ accessTypes }) => accessTypes.includes(everything) || accessTypes.includes(accessType));
}

/** Whether the access type reaches the endpoint of this number, before the key's selection and the owner. */
export function typeReaches(type: AccessType, index: CatalogIndex, number: number): boolean {
  const endpoint = index.model.endpoints[number];
  if (endpoint === undefined || (endpoint.admin && !type.admin) || (endpoint.transactional && !type.transactional)) return false;
  return type.endpoints !== 'Listed' || (index.scopesOf[number] ?? []).some((scope) => type.scopes.includes(scope));
}

/** Whether the key's selection leaves the endpoint; what it means not to select depends on the type. */
export function selects(selections: Selections, type: AccessType, index: CatalogIndex, number: number): boolean {
  const endpoint = index.model.endpoints[number];
  if (endpoint === undefined || (selections.applications !== undefined && !endpoint.perApplication)) return false;
  const { scopes, endpoints } = selections;
  if (scopes === undefined && endpoints === undefined) return type.endpoints !== 'Selected';
  if (endpoints?.includes(endpoint.name) === true) return true;
  return scopes !== undefined && (index.scopesOf[number] ?? []).some((scope) => scopes.includes(scope));
}

/**
 * The names of one list that a set of rules gives together, narrowed to the selection (absent = not narrowed) and to what
 * the catalog lists now. `All` only where nothing narrows.
 */
export function namesOf(
  rules: readonly GrantRule[],
  list: 'applications' | 'channels' | 'attributes',
  index: CatalogIndex,
  selection: readonly string[] | undefined,
): Names {
  const all = rules.some((rule) => rule[list].includes(everything));
  if (all && selection === undefined) return 'All';
  const candidates = selection ?? rules.flatMap((rule) => rule[list]);
  const listed = index[list];
  const granted = candidates.filter((name) => listed.has(name) && (all || rules.some((rule) => rule[list].includes(name))));
  return sorted(granted);
}

/** Whether a name is among them; `listed` is what `All` stands for. */
export function includesName(names: Names, listed: ReadonlySet<string>, name: string): boolean {
  return names === 'All' ? listed.has(name) : names.includes(name);
}

/** The names that are in both sets. `All` means everything that the catalog lists, so it narrows nothing. */
export function intersectNames(a: Names, b: Names): Names {
  if (a === 'All') return b;
  return b === 'All' ? a : a.filter((name) => b.includes(name));
}

/** One spelling of a set: without repetition, sorted byte for byte (names are ASCII). */
export function sorted(names: Iterable<string>): readonly string[] {
  return [...new Set(names)].sort();
}

/**
 * One endpoint that a key reaches: type, selection and at least one rule of the owner say so. Whether a request reaches it
 * depends on its application, see {@link Reach.under}.
 */
export class Reach {
  readonly endpoint: Endpoint;
  /** What the key may name here: the rules that cover the endpoint together, narrowed to the selection. */
  readonly applications: Names;
  readonly #input: RightsInput;
  readonly #rules: readonly GrantRule[];
  readonly #coverages = new Map<string | undefined, Coverage | undefined>();

  constructor(endpoint: Endpoint, rules: readonly GrantRule[], input: RightsInput) {
    this.endpoint = endpoint;
    this.#input = input;
    this.#rules = rules;
    this.applications = namesOf(rules, 'applications', input.index, input.selections.applications);
  }

  /**
   * What the rules give that cover both the endpoint and the application; `undefined` = none does, or the selection leaves
   * the application out. Absent (`undefined`) is covered only where nothing limits. The application of an endpoint that
   * does not work per application is not looked at.
   */
  under(application: string | undefined): Coverage | undefined {
    const asked = this.endpoint.perApplication ? application : undefined;
    const known = this.#coverages.get(asked);
    if (known !== undefined || this.#coverages.has(asked)) return known;
    // Only listed applications are kept, so that strangers' words cannot fill the memory.
    if (asked !== undefined && !this.#input.index.applications.has(asked)) return undefined;
    const coverage = this.#cover(asked);
    this.#coverages.set(asked, coverage);
    return coverage;
  }

  #cover(application: string | undefined): Coverage | undefined {
    const { index, selections } = this.#input;
    let rules = this.#rules;
    if (this.endpoint.perApplication) {
      if (selections.applications !== undefined && (application === undefined || !selections.applications.includes(application)))
        return undefined;
      rules = rules.filter((rule) => coversApplication(rule, application));
    }
    if (rules.length === 0) return undefined;
    return {
      channels: namesOf(rules, 'channels', index, selections.channels),
      attributes: namesOf(rules, 'attributes', index, selections.attributes),
    };
  }
}

/** What one key may do: access type ∩ selection ∩ owner. Answers are remembered, so that asking twice costs nothing. */
export class Rights {
  readonly #input: RightsInput;
  readonly #type: AccessType | undefined;
  readonly #reaches = new Map<number, Reach | undefined>();
  /** Whether the owner may hold the key's access type, and the catalog has it. */
  readonly holdsType: boolean;

  constructor(input: RightsInput) {
    this.#input = input;
    this.#type = input.index.types.get(input.accessType);
    this.holdsType = this.#type !== undefined && holdsAccessType(input.rules, input.accessType);
  }

  /** The endpoint of this number, when the key reaches it. It does not ask whether the type is held. */
  reach(number: number): Reach | undefined {
    const known = this.#reaches.get(number);
    if (known !== undefined || this.#reaches.has(number)) return known;
    const found = this.#find(number);
    this.#reaches.set(number, found);
    return found;
  }

  #find(number: number): Reach | undefined {
    const { index, selections, rules } = this.#input;
    const endpoint = index.model.endpoints[number];
    if (endpoint === undefined || this.#type === undefined) return undefined;
    if (!typeReaches(this.#type, index, number) || !selects(selections, this.#type, index, number)) return undefined;
    const covering = rules.filter((rule) => coversEndpoint(rule, index, number));
    return covering.length === 0 ? undefined : new Reach(endpoint, covering, this.#input);
  }
}

/** What narrows a key below what it selects. */
export type Limit = 'owner' | 'accessType' | 'catalog';

/** What a key may do, spelled out for its status. The lists are what it has on at least one endpoint. */
export interface Effective {
  /** How many endpoints it reaches, with at least one application where they need one. */
  readonly endpoints: number;
  /** Sorted: the selected scopes, else those of the access type, that lead to at least one endpoint. */
  readonly scopes: readonly string[];
  readonly applications: Names;
  readonly channels: Names;
  readonly attributes: Names;
  /** Empty = the key has all that it selects. */
  readonly limitedBy: readonly Limit[];
}

/** One set of what a key asks for. */
export type RightsLayer = Pick<RightsInput, 'accessType' | 'selections'>;

/** What {@link effectiveOf} asks. */
export interface EffectiveInput {
  /** The catalog in force. */
  readonly index: CatalogIndex;
  /** Each must allow the request; the first is what the key asks for. */
  readonly layers: readonly [RightsLayer, ...RightsLayer[]];
  /** The owner's rules for this catalog ({@link rulesFor}); none without an owner. */
  readonly rules: readonly GrantRule[];
}

/** The rights of a key as a whole. A type that the owner may not hold leaves nothing. */
export function effectiveOf({ index, layers, rules }: EffectiveInput): Effective {
  const inputs = layers.map(({ accessType, selections }): RightsInput => ({ index, accessType, selections, rules }));
  const all = inputs.map((input) => ({ input, rights: new Rights(input) }));
  const isReached = (number: number): boolean =>
    all.every(({ rights }) => {
      const reach = rights.holdsType ? rights.reach(number) : undefined;
      return reach !== undefined && isUsable(reach);
    });
  const reached = index.model.endpoints.flatMap((_, number) => (isReached(number) ? [number] : []));
  const covering = rules.filter((rule) => reached.some((number) => coversEndpoint(rule, index, number)));
  const names = (list: 'applications' | 'channels' | 'attributes'): Names =>
    inputs.map(({ selections }) => namesOf(covering, list, index, selections[list])).reduce(intersectNames);
  const scopes = inputs.map((input) => scopesThatCount(input, reached));
  const summary = {
    endpoints: reached.length,
    scopes: scopes.reduce((a, b) => a.filter((scope) => b.includes(scope))),
    applications: names('applications'),
    channels: names('channels'),
    attributes: names('attributes'),
  };
  const [first] = layers;
  return {
    ...summary,
    limitedBy: limitsOf({ index, rules, accessType: first.accessType, selections: first.selections }, summary),
  };
}

/** An endpoint that needs an application is of no use without one. */
function isUsable({ endpoint, applications }: Reach): boolean {
  return !endpoint.perApplication || applications === 'All' || applications.length > 0;
}

function scopesThatCount({ index, accessType, selections }: RightsInput, reached: readonly number[]): readonly string[] {
  const used = new Set<string>();
  for (const number of reached) {
    if (used.size === index.scopes.size) break;
    for (const scope of index.scopesOf[number] ?? []) used.add(scope);
  }
  const type = index.types.get(accessType);
  const ofType = type?.endpoints === 'Listed' ? type.scopes : [...index.scopes];
  const selected = selections.scopes ?? (selections.endpoints === undefined ? ofType : []);
  return sorted(selected.filter((scope) => used.has(scope)));
}

function limitsOf(input: RightsInput, summary: Omit<Effective, 'limitedBy'>): readonly Limit[] {
  const limits: Limit[] = [];
  if (isLimitedByOwner(input, summary)) limits.push('owner');
  if (isLimitedByType(input)) limits.push('accessType');
  if (isLimitedByCatalog(input)) limits.push('catalog');
  return limits;
}

function isLimitedByOwner(input: RightsInput, summary: Omit<Effective, 'limitedBy'>): boolean {
  const { index, accessType, selections, rules } = input;
  const type = index.types.get(accessType);
  if (type === undefined) return false;
  if (!holdsAccessType(rules, accessType)) return true;
  // What the owner has now is what such a key asks for: fewer endpoints are no limit of it.
  const asksForOwners = type.endpoints === 'Owner' && selections.scopes === undefined && selections.endpoints === undefined;
  const offered = index.model.endpoints.filter(
    (_, number) => typeReaches(type, index, number) && selects(selections, type, index, number),
  );
  if (offered.length === 0) return false;
  if (!asksForOwners && offered.length > summary.endpoints) return true;
  const perApplication = offered.some((endpoint) => endpoint.perApplication);
  return (['applications', 'channels', 'attributes'] as const).some((list) => {
    if (list === 'applications' && !perApplication) return false;
    const names = summary[list];
    const wanted = selections[list];
    if (wanted === undefined) return names !== 'All';
    return new Set(wanted.filter((name) => index[list].has(name))).size > names.length;
  });
}

/** Only a selection can be narrowed by the type: without one the key asks for what the type has. */
function isLimitedByType({ index, accessType, selections }: RightsInput): boolean {
  const type = index.types.get(accessType);
  if (type === undefined || (selections.scopes === undefined && selections.endpoints === undefined)) return false;
  return index.model.endpoints.some((_, number) => selects(selections, type, index, number) && !typeReaches(type, index, number));
}

function isLimitedByCatalog({ index, accessType, selections }: RightsInput): boolean {
  const unknown = (names: readonly string[] | undefined, known: { has(name: string): boolean }): boolean =>
    names?.some((name) => !known.has(name)) === true;
  return (
    !index.types.has(accessType) ||
    unknown(selections.scopes, index.scopes) ||
    unknown(selections.endpoints, index.numbers) ||
    unknown(selections.applications, index.applications) ||
    unknown(selections.channels, index.channels) ||
    unknown(selections.attributes, index.attributes)
  );
}
