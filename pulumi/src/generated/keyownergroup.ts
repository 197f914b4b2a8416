// Made by `npm run generate` from operator/src: edit there.
import type { CustomResourceGetOptions } from '@pulumi/kubernetes/apiextensions/customResource.js';
import type { meta as inputs } from '@pulumi/kubernetes/types/input.js';
import type { meta as outputs } from '@pulumi/kubernetes/types/output.js';
import type * as pulumi from '@pulumi/pulumi';
import { KeywrightResource } from '../resource.ts';

export interface KeyOwnerGroupGrantsArgs {
  /** The ApiCatalog that the rule is about, at most 63 characters. */
  catalog: pulumi.Input<string>;
  /** Whether the rule covers endpoints flagged admin; default false. */
  admin?: pulumi.Input<boolean> | undefined;
  /** Access types that keys may have, at most 50, "*" = all; default: none. */
  accessTypes?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Scopes whose endpoints are covered, at most 200, "*" = all; default: none. */
  scopes?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Single endpoints that are covered, at most 200, "*" = all; default: none. */
  endpoints?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Tenant applications that are covered, at most 200, "*" = all; default: none. */
  applications?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Channels for the covered requests, at most 200, "*" = all; default: none. */
  channels?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Response attributes for the covered requests, at most 200, "*" = all; default: none. */
  attributes?: pulumi.Input<pulumi.Input<string>[]> | undefined;
}

/** What an KeyOwnerGroup should be. */
export interface KeyOwnerGroupSpecArgs {
  /** The name that people know the group by, 1 to 100 characters. */
  displayName: pulumi.Input<string>;
  /** Rules, at most 20, each evaluated alone: a request is within the rights when one rule covers it; default: none. */
  grants?: pulumi.Input<pulumi.Input<KeyOwnerGroupGrantsArgs>[]> | undefined;
}

export interface KeyOwnerGroupGrants {
  /** The ApiCatalog that the rule is about, at most 63 characters. */
  readonly catalog: string;
  /** Whether the rule covers endpoints flagged admin; default false. */
  readonly admin: boolean;
  /** Access types that keys may have, at most 50, "*" = all; default: none. */
  readonly accessTypes: readonly string[];
  /** Scopes whose endpoints are covered, at most 200, "*" = all; default: none. */
  readonly scopes: readonly string[];
  /** Single endpoints that are covered, at most 200, "*" = all; default: none. */
  readonly endpoints: readonly string[];
  /** Tenant applications that are covered, at most 200, "*" = all; default: none. */
  readonly applications: readonly string[];
  /** Channels for the covered requests, at most 200, "*" = all; default: none. */
  readonly channels: readonly string[];
  /** Response attributes for the covered requests, at most 200, "*" = all; default: none. */
  readonly attributes: readonly string[];
}

/** What an KeyOwnerGroup should be, with its defaults. */
export interface KeyOwnerGroupSpec {
  /** The name that people know the group by, 1 to 100 characters. */
  readonly displayName: string;
  /** Rules, at most 20, each evaluated alone: a request is within the rights when one rule covers it; default: none. */
  readonly grants: readonly KeyOwnerGroupGrants[];
}

export interface KeyOwnerGroupStatusConditions {
  /** What the condition is about. */
  readonly type: string;
  /** Whether it holds: True, False or Unknown. */
  readonly status: "True" | "False" | "Unknown";
  /** Why, in one word of the vocabulary that conditions, events, logs and metrics share. */
  readonly reason: string;
  /** Why, in a sentence, at most 4096 characters. */
  readonly message: string;
  /** The metadata.generation that the condition speaks of. */
  readonly observedGeneration?: number | undefined;
  /** When the status last changed; 1970-01-01T00:00:00Z before the first look. */
  readonly lastTransitionTime: string;
}

/** How many ApiKeys name the owner. */
export interface KeyOwnerGroupStatusKeys {
  /** All of them. */
  readonly total: number;
  /** Those that are Ready. */
  readonly ready: number;
}

/** What an KeyOwnerGroup is: only the operator writes it. */
export interface KeyOwnerGroupStatus {
  /** The metadata.generation that the status speaks of. */
  readonly observedGeneration?: number | undefined;
  /** The state in conditions, one per type. */
  readonly conditions: readonly KeyOwnerGroupStatusConditions[];
  /** How many ApiKeys name the owner. */
  readonly keys?: KeyOwnerGroupStatusKeys | undefined;
}

/** The arguments of an KeyOwnerGroup. */
export interface KeyOwnerGroupArgs {
  /** Name, namespace, labels and annotations. Without a name it is that of the resource; nothing is appended. */
  metadata?: pulumi.Input<inputs.v1.ObjectMeta> | undefined;
  /** What it should be. */
  spec: pulumi.Input<KeyOwnerGroupSpecArgs>;
}

/**
 * Rules that many owners share.
 *
 * By default an update waits until it is Ready; the annotation `pulumi.com/waitFor` or
 * `pulumi.com/skipAwait` says otherwise. 
 */
export class KeyOwnerGroup extends KeywrightResource {
  /** What it is in Kubernetes. */
  declare readonly metadata: pulumi.Output<outputs.v1.ObjectMeta>;
  /** What it should be, with its defaults. */
  declare readonly spec: pulumi.Output<KeyOwnerGroupSpec>;
  /** What it is, as far as the operator has looked. */
  declare readonly status: pulumi.Output<KeyOwnerGroupStatus | undefined>;

  /**
   * One that exists already. `id` is its name.
   *
   * @param name The name of the resource in the program.
   */
  static override get(name: string, id: pulumi.Input<pulumi.ID>, opts?: pulumi.CustomResourceOptions): KeyOwnerGroup;
  /** As every custom resource of `@pulumi/kubernetes` is looked up. */
  static override get(name: string, opts: CustomResourceGetOptions): KeyOwnerGroup;
  static override get(
    name: string,
    idOrOptions: pulumi.Input<pulumi.ID> | CustomResourceGetOptions,
    opts?: pulumi.CustomResourceOptions,
  ): KeyOwnerGroup {
    return new KeyOwnerGroup(name, undefined as unknown as KeyOwnerGroupArgs, KeywrightResource.optionsToGet(idOrOptions, opts));
  }

  /** Whether it is an KeyOwnerGroup, also one of another copy of this package. */
  static override isInstance(candidate: unknown): candidate is KeyOwnerGroup {
    return KeywrightResource.isOfKind(candidate, 'KeyOwnerGroup');
  }

  /**
   * @param name The name of the resource in the program.
   * @param args Checked here as far as they are known; throws an error that names the fields at fault.
   */
  constructor(name: string, args: KeyOwnerGroupArgs, opts?: pulumi.CustomResourceOptions) {
    super('KeyOwnerGroup', name, args, opts);
  }
}
