/** An IAM policy document, as one writes it: Allow and Deny, actions and resources with `*` and `?`, conditions. */
export interface PolicyDocument {
  readonly Version?: string;
  readonly Id?: string;
  readonly Statement: Statement | readonly Statement[];
}

export interface Statement {
  readonly Sid?: string;
  readonly Effect: 'Allow' | 'Deny';
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  /** Operator → condition key → values. */
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

/** What somebody wants to do. */
export interface Question {
  /** As `secretsmanager:PutSecretValue`. */
  readonly action: string;
  readonly resource: string;
  /** Condition keys in lower case, with their values. */
  readonly context: ReadonlyMap<string, readonly string[]>;
}

const MEMBERS = ['Sid', 'Effect', 'Action', 'Resource', 'Condition'];
const OPERATORS: Readonly<Record<string, (value: string, wanted: string) => boolean>> = {
  StringEquals: (value, wanted) => value === wanted,
  StringLike: matches,
  ArnEquals: matches,
  ArnLike: matches,
  Bool: (value, wanted) => value === wanted,
};

/**
 * Reads a policy and refuses what {@link allows} would not judge as IAM does, so that a typing error never counts as a
 * right.
 */
export function readPolicy(policy: PolicyDocument): readonly Statement[] {
  const statements = [policy.Statement].flat() as readonly Statement[];
  for (const statement of statements) {
    const unknown = Object.keys(statement).filter((member) => !MEMBERS.includes(member));
    if (unknown.length > 0) throw new Error(`the fake does not judge ${unknown.join(', ')} in a policy`);
    if (!['Allow', 'Deny'].includes(statement.Effect)) throw new Error('a statement needs the Effect Allow or Deny');
    if (list(statement.Action).length === 0 || list(statement.Resource).length === 0)
      throw new Error('a statement needs an Action and a Resource');
    for (const operator of Object.keys(statement.Condition ?? {})) readOperator(operator);
  }
  return statements;
}

/** IAM's rule: one Deny refuses, one Allow is needed. */
export function allows(statements: readonly Statement[], question: Question): boolean {
  const hits = statements.filter((statement) => covers(statement, question));
  return hits.some((hit) => hit.Effect === 'Allow') && !hits.some((hit) => hit.Effect === 'Deny');
}

function covers(statement: Statement, question: Question): boolean {
  return (
    // Action names do not look at case, resources do.
    list(statement.Action).some((action) => matches(question.action.toLowerCase(), action.toLowerCase())) &&
    list(statement.Resource).some((resource) => matches(question.resource, resource)) &&
    Object.entries(statement.Condition ?? {}).every(([operator, keys]) =>
      Object.entries(keys).every(([key, wanted]) => holds(operator, list(wanted), question.context.get(key.toLowerCase()))),
    )
  );
}

/** The parts of an operator such as `ForAnyValue:StringNotLikeIfExists`. */
function readOperator(name: string): { quantifier: string; base: string; negated: boolean; ifExists: boolean } {
  const found = /^(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?$/.exec(name);
  const word = found?.[2] ?? '';
  const negated = /^(String|Arn)Not/.test(word);
  const base = negated ? word.replace('Not', '') : word;
  if (found === null || (base !== 'Null' && !Object.hasOwn(OPERATORS, base)))
    throw new Error(`the fake does not judge the condition ${name}`);
  return { quantifier: found[1] ?? '', base, negated, ifExists: found[3] !== undefined };
}

function holds(operator: string, wanted: readonly string[], values: readonly string[] | undefined): boolean {
  const { quantifier, base, negated, ifExists } = readOperator(operator);
  if (base === 'Null') return wanted.includes(String(values === undefined));
  if (values === undefined) return ifExists || negated || quantifier === 'ForAllValues';
  const compare = OPERATORS[base];
  if (compare === undefined) return false;
  const fits = (value: string): boolean => wanted.some((one) => compare(value, one)) !== negated;
  return quantifier === 'ForAnyValue' ? values.some(fits) : values.every(fits);
}

/** `*` stands for any characters, `?` for one. */
function matches(text: string, pattern: string): boolean {
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's').test(text);
}

function list(value: string | readonly string[]): readonly string[] {
  return typeof value === 'string' ? [value] : value;
}
