import * as pulumi from '@pulumi/pulumi';
import { isDeepStrictEqual } from 'node:util';
import { kindTable } from '../../operator/src/api/kinds.ts';
import type { Subject } from './kind.ts';
import { isLater } from './later.ts';
import { Replacement } from './replace.ts';
import { refusal } from './validation.ts';

/** The places of the immutable fields of a kind, with why they are. */
function immutableFields(kind: Subject['kind']): readonly { readonly field: string; readonly message: string }[] {
  return kindTable[kind].transitions.flatMap(({ immutable, field, message }) =>
    immutable === true && field !== undefined ? [{ field, message }] : [],
  );
}

/**
 * The options by which the engine treats a change of an immutable field: a hook that refuses it, already at a preview, and
 * names both ways out; or, where the program asks for it, a replacement that deletes first, because the new object has the
 * name of the old one.
 */
export function replacementOptions(
  subject: Subject,
  replace: Replacement | undefined,
  opts: pulumi.CustomResourceOptions,
): pulumi.CustomResourceOptions {
  const fields = immutableFields(subject.kind);
  if (fields.length === 0) return {};
  if (replace === Replacement.DeleteFirst)
    return { deleteBeforeReplace: true, replaceOnChanges: fields.map(({ field }) => `spec.${field}`) };
  if (!canHook()) return {};
  const refuse = async ({ oldInputs, newInputs }: pulumi.ResourceHookArgs): Promise<void> => {
    const error = await refusedChange(subject, oldInputs, newInputs);
    if (error !== undefined) throw error;
  };
  return { hooks: { beforeUpdate: [new pulumi.ResourceHook(hookName(subject, opts.parent), refuse, { onDryRun: true })] } };
}

/** The runtime mocks of a unit test know no hooks, and a resource that has one would wait for ever (@pulumi/pulumi 3.259). */
function canHook(): boolean {
  const monitor: unknown = pulumi.runtime.getMonitor();
  return typeof monitor !== 'object' || monitor === null || 'registerResourceHook' in monitor;
}

/** What is said of a change of immutable fields, or nothing. What is not known yet counts as no change. */
export async function refusedChange(subject: Subject, before: unknown, after: unknown): Promise<Error | undefined> {
  const faults = await Promise.all(
    immutableFields(subject.kind).map(async ({ field, message }) => {
      const steps = ['spec', ...field.split('.')];
      const [was, is] = [await settledAt(before, steps), await settledAt(after, steps)];
      if (pulumi.isUnknown(is) || isDeepStrictEqual(was, is)) return [];
      return [{ path: steps.join('.'), message: `${message} (it was ${JSON.stringify(was)})` }];
    }),
  );
  if (faults.flat().length === 0) return undefined;
  const { kind } = subject;
  const lost = kind === 'ApiKey' ? 'its key is revoked at once' : 'the keys that depend on it are refused at once';
  return new pulumi.RunError(
    [
      refusal(subject, faults.flat()).message,
      `Either declare a second ${kind} beside this one, let both live until everybody uses the new one, and remove this one then;`,
      `or set replace: "${Replacement.DeleteFirst}" on it: it is deleted first (${lost}) and made anew.`,
    ].join('\n'),
  );
}

/** What stands at a place of a resource's inputs; secrets among them come as outputs. */
async function settledAt(value: unknown, steps: readonly string[]): Promise<unknown> {
  const known = isLater(value) ? await settledOf(value) : value;
  const [step, ...rest] = steps;
  if (step === undefined) return known;
  return typeof known === 'object' && known !== null ? settledAt(Reflect.get(known, step), rest) : undefined;
}

/** The SDK does not declare how an output is awaited; `apply` would never answer for one that is not known. */
async function settledOf(value: object): Promise<unknown> {
  const promise: unknown = Reflect.get(value, 'promise');
  return typeof promise === 'function' ? (promise.call(value, true) as unknown) : value;
}

/** The engine wants a name of its own for each hook of a program: that of the resource, with those of its parents. */
function hookName({ kind, name }: Subject, parent: pulumi.Resource | undefined): string {
  const names = [name];
  for (let one = parent; one !== undefined; one = parentOf(one)) names.unshift(nameOf(one));
  return `keywright-immutable-${kind}-${names.join('/')}`;
}

/** The SDK keeps both under names that it does not declare; without them the name is only less telling. */
const nameOf = (resource: pulumi.Resource): string => String(Reflect.get(resource, '__name') ?? '');
const parentOf = (resource: pulumi.Resource): pulumi.Resource | undefined =>
  Reflect.get(resource, '__parentResource') as pulumi.Resource | undefined;
