import {
  CustomResource,
  type CustomResourceArgs,
  type CustomResourceGetOptions,
} from '@pulumi/kubernetes/apiextensions/customResource.js';
import type { meta } from '@pulumi/kubernetes/types/input.js';
import * as pulumi from '@pulumi/pulumi';
import { apiVersion } from '../../operator/src/api/meta.ts';
import type { KeywrightKind, Subject } from './kind.ts';
import { isLater } from './later.ts';
import { completeMetadata } from './metadata.ts';
import { Replacement } from './replace.ts';
import { replacementOptions, withImmutableDefaults } from './replacement.ts';
import { checkedSpec, metadataFaults, refusal, throwIfAny, type Fault } from './validation.ts';

/** The arguments that all kinds share. */
export interface KeywrightResourceArgs {
  readonly metadata?: pulumi.Input<meta.v1.ObjectMeta> | undefined;
  readonly spec: unknown;
  readonly replace?: Replacement | undefined;
}

const knownArgs = ['metadata', 'spec', 'replace'];

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
    super(
      name,
      isLookup ? outputsOf(kind) : inputsOf(subject, args, opts.parent),
      isLookup ? opts : optionsOf(subject, args, opts),
    );
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

function inputsOf(
  subject: Subject,
  args: KeywrightResourceArgs | undefined,
  parent: pulumi.Resource | undefined,
): CustomResourceArgs {
  if (args === undefined) throw refusal(subject, [{ path: 'args', message: 'is required' }]);
  const unknown = Object.keys(args).filter((name) => !knownArgs.includes(name));
  throwIfAny(
    subject,
    unknown.map((path) => ({ path, message: 'is no known argument' })),
  );
  if (!isLater(args.metadata)) throwIfAny(subject, namedFaults(subject, args.metadata ?? {}));
  const metadata = completeMetadata(subject, args.metadata, args.spec, parent);
  const spec = withImmutableDefaults(subject.kind, checkedSpec(subject, args.spec));
  return { ...outputsOf(subject.kind), metadata, spec };
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

/** The faults of metadata. The name is that of the resource where the program gives none, and never has a random ending. */
function namedFaults(subject: Subject, metadata: meta.v1.ObjectMeta): readonly Fault[] {
  const { name = subject.name } = metadata;
  const faults = metadataFaults(subject, { ...metadata, name });
  const said = metadata.name === undefined ? ', the name of the resource: set metadata.name' : '';
  return faults.map(({ path, message }) =>
    path === 'metadata.name' && typeof name === 'string'
      ? { path, message: `${message} (it is ${JSON.stringify(name)}${said})` }
      : { path, message },
  );
}
