import {
  CustomResource,
  type CustomResourceArgs,
  type CustomResourceGetOptions,
} from '@pulumi/kubernetes/apiextensions/customResource.js';
import type { meta } from '@pulumi/kubernetes/types/input.js';
import * as pulumi from '@pulumi/pulumi';
import { objectNamePattern } from '../../operator/src/api/fields.ts';
import { apiVersion } from '../../operator/src/api/meta.ts';
import type { KeywrightKind, Subject } from './kind.ts';
import { isLater } from './later.ts';
import { Replacement } from './replace.ts';
import { replacementOptions } from './replacement.ts';
import { checkedSpec, refusal } from './validation.ts';
import { withWaiting } from './waiting.ts';

/** The arguments that all kinds share. */
export interface KeywrightResourceArgs {
  readonly metadata?: pulumi.Input<meta.v1.ObjectMeta> | undefined;
  readonly spec: unknown;
  readonly replace?: Replacement | undefined;
}

const longestName = 63;

/** What the five kinds have in common; use them, not this. */
export abstract class KeywrightResource extends CustomResource {
  protected constructor(
    kind: KeywrightKind,
    name: string,
    args: KeywrightResourceArgs | undefined,
    opts: pulumi.CustomResourceOptions = {},
  ) {
    const subject: Subject = { kind, name };
    const isLookup = opts.id !== undefined || opts.urn !== undefined;
    super(name, isLookup ? outputsOf(kind) : inputsOf(subject, args), isLookup ? opts : optionsOf(subject, args, opts));
  }

  /** The options by which the constructor looks an object up in place of making one. */
  protected static optionsToGet(
    idOrOptions: pulumi.Input<pulumi.ID> | CustomResourceGetOptions,
    opts: pulumi.CustomResourceOptions | undefined,
  ): pulumi.CustomResourceOptions {
    if (typeof idOrOptions === 'string' || isLater(idOrOptions)) return { ...opts, id: idOrOptions };
    const { apiVersion: _version, kind: _kind, ...own } = idOrOptions;
    return own;
  }

  protected static isOfKind(candidate: unknown, kind: KeywrightKind): boolean {
    if (typeof candidate !== 'object' || candidate === null) return false;
    return Reflect.get(candidate, '__pulumiType') === `kubernetes:${apiVersion}:${kind}`;
  }
}

/** Members without a value become outputs of what the API server has. */
function outputsOf(kind: KeywrightKind): CustomResourceArgs {
  return { apiVersion, kind, metadata: undefined, spec: undefined, status: undefined } as unknown as CustomResourceArgs;
}

function inputsOf(subject: Subject, args: KeywrightResourceArgs | undefined): CustomResourceArgs {
  if (args === undefined) throw refusal(subject, [{ path: 'args', message: 'is required' }]);
  const metadata = withWaiting(subject.kind, nameFor(subject, args.metadata), args.metadata, args.spec);
  return { ...outputsOf(subject.kind), metadata, spec: checkedSpec(subject, args.spec) };
}

function optionsOf(
  subject: Subject,
  args: KeywrightResourceArgs | undefined,
  opts: pulumi.CustomResourceOptions,
): pulumi.CustomResourceOptions {
  const { replace } = args ?? {};
  const isKnown = replace === undefined || Object.values<string>(Replacement).includes(replace);
  if (!isKnown) throw refusal(subject, [{ path: 'replace', message: `must be "${Replacement.DeleteFirst}", or left out` }]);
  return pulumi.mergeOptions(replacementOptions(subject, replace, opts), opts);
}

/** The name of the object: that of the resource where the program gives none. Never one with a random ending. */
function nameFor(subject: Subject, metadata: KeywrightResourceArgs['metadata']): string {
  if (isLater(metadata)) return subject.name;
  const { name = subject.name } = metadata ?? {};
  if (typeof name !== 'string') return subject.name;
  if (name.length <= longestName && new RegExp(objectNamePattern).test(name)) return name;
  const message = `${JSON.stringify(name)} is no name of an object: a-z, 0-9, "-" and ".", at most ${longestName} characters`;
  throw refusal(subject, [{ path: 'metadata.name', message }]);
}
