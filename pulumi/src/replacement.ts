import * as pulumi from '@pulumi/pulumi';
import { isDeepStrictEqual } from 'node:util';
import { kindTable } from '../../operator/src/api/kinds.ts';
import type { Subject } from './kind.ts';
import { Replacement } from './replace.ts';
import { refusal, valueAt } from './validation.ts';

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
  const hook = new pulumi.ResourceHook(
    hookName(subject, opts.parent),
    ({ oldInputs, newInputs }) => {
      const faults = fields.flatMap(({ field, message }) => {
        const steps = ['spec', ...field.split('.')];
        const [before, after] = [valueAt(oldInputs, steps), valueAt(newInputs, steps)];
        // What is not known yet is no change so far.
        if (pulumi.isUnknown(after) || isDeepStrictEqual(before, after)) return [];
        return [{ path: steps.join('.'), message: `${message} (it was ${JSON.stringify(before)})` }];
      });
      if (faults.length > 0) throw withWaysOut(refusal(subject, faults), subject.kind);
    },
    { onDryRun: true },
  );
  return { hooks: { beforeUpdate: [hook] } };
}

function withWaysOut(error: Error, kind: string): Error {
  const lost = kind === 'ApiKey' ? 'its key is revoked at once' : 'the keys that depend on it are refused at once';
  return new pulumi.RunError(
    `${error.message}\nEither declare a second ${kind} beside this one, let both live until everybody uses the new one, and remove this one then;\nor set replace: "${Replacement.DeleteFirst}" on it: it is deleted first (${lost}) and made anew.`,
  );
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
