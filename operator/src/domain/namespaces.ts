/** Which namespaces something is open to. Nothing said = nobody. */
export interface NamespaceSelection {
  readonly names?: readonly string[] | undefined;
  readonly all?: boolean | undefined;
  readonly selector?: LabelSelector | undefined;
}

/** Kubernetes' label selector. */
export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>> | undefined;
  readonly matchExpressions?: readonly LabelExpression[] | undefined;
}

/** One requirement of a {@link LabelSelector}. */
export interface LabelExpression {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values?: readonly string[] | undefined;
}

/** Whether the selection covers a namespace. An empty selector covers all of them, as everywhere in Kubernetes. */
export function selectsNamespace(
  selection: NamespaceSelection | undefined,
  namespace: { readonly name: string; readonly labels: Readonly<Record<string, string>> },
): boolean {
  if (selection === undefined) return false;
  if (selection.all === true) return true;
  if (selection.names?.includes(namespace.name) === true) return true;
  return selection.selector !== undefined && matchesLabels(selection.selector, namespace.labels);
}

function matchesLabels(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const wanted = Object.entries(selector.matchLabels ?? {});
  return (
    wanted.every(([key, value]) => labels[key] === value) &&
    (selector.matchExpressions ?? []).every((expression) => matchesExpression(expression, labels))
  );
}

function matchesExpression(expression: LabelExpression, labels: Readonly<Record<string, string>>): boolean {
  const value = labels[expression.key];
  switch (expression.operator) {
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'In':
      return value !== undefined && (expression.values ?? []).includes(value);
    case 'NotIn':
      return value === undefined || !(expression.values ?? []).includes(value);
  }
}
