import type { meta } from '@pulumi/kubernetes/types/input.js';
import * as pulumi from '@pulumi/pulumi';
import { apiVersion, group } from '../../operator/src/api/meta.ts';
import type { KeywrightKind, Subject } from './kind.ts';
import { isLater, wholeOf } from './later.ts';

/** Annotations of the Kubernetes provider: what an update waits for, and whether it waits at all. */
const waitFor = 'pulumi.com/waitFor';
const skipAwait = 'pulumi.com/skipAwait';

/** The URN of the resource that declares the object. */
export const declaredByAnnotation = `pulumi.${group}/declared-by`;

/**
 * The metadata with a name, with the resource that declares the object, and with what an update waits for: that the object is Ready,
 * or, of an ApiKey that is suspended and so never becomes Ready, that its value is Delivered. What the program says itself stands.
 */
export function completeMetadata(
  { kind, name }: Subject,
  metadata: pulumi.Input<meta.v1.ObjectMeta> | undefined,
  spec: unknown,
  parent: pulumi.Resource | undefined,
): pulumi.Input<meta.v1.ObjectMeta> {
  const condition = conditionOf(kind, spec);
  const declaredBy = pulumi.createUrn(name, `kubernetes:${apiVersion}:${kind}`, parent);
  const complete = (own: meta.v1.ObjectMeta, annotations: object): meta.v1.ObjectMeta => ({
    ...own,
    name: own.name ?? name,
    annotations: {
      ...(waitFor in annotations || skipAwait in annotations ? {} : { [waitFor]: condition }),
      ...annotations,
      // The Kubernetes provider takes an object that exists for one that it has made. Two resources that declare one object have
      // different values here, which the API server calls a conflict, before either can delete the key of the other.
      [declaredByAnnotation]: declaredBy,
    },
  });
  // A program that names all in plain text sees all in plain text at a preview.
  if (!isLater(metadata)) {
    const { annotations = {} } = metadata ?? {};
    if (!isLater(annotations)) return complete(metadata ?? {}, annotations);
  }
  return pulumi.output(metadata ?? {}).apply((own) => complete(own, own.annotations ?? {}));
}

function conditionOf(kind: KeywrightKind, spec: unknown): pulumi.Input<string> {
  if (kind !== 'ApiKey') return 'condition=Ready';
  const suspend = isLater(spec) ? wholeOf(spec).apply(suspendOf) : suspendOf(spec);
  const name = (suspended: unknown): string => `condition=${suspended === true ? 'Delivered' : 'Ready'}`;
  return isLater(suspend) ? wholeOf(suspend).apply(name) : name(suspend);
}

function suspendOf(spec: unknown): unknown {
  return typeof spec === 'object' && spec !== null ? Reflect.get(spec, 'suspend') : undefined;
}
