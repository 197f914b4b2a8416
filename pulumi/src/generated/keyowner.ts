// Made by `npm run generate` from operator/src: edit there.
import type { CustomResourceGetOptions } from '@pulumi/kubernetes/apiextensions/customResource.js';
import type { meta as inputs } from '@pulumi/kubernetes/types/input.js';
import type { meta as outputs } from '@pulumi/kubernetes/types/output.js';
import type * as pulumi from '@pulumi/pulumi';
import { KeywrightResource } from '../resource.ts';

/** What the owner is: User, Team or Service. */
export const KeyOwnerType = {
  User: 'User',
  Team: 'Team',
  Service: 'Service',
} as const;
/** What the owner is: User, Team or Service. */
export type KeyOwnerType = (typeof KeyOwnerType)[keyof typeof KeyOwnerType];

/** How the label is compared: In, NotIn, Exists or DoesNotExist. */
export const KeyOwnerAllowedNamespacesSelectorMatchExpressionsOperator = {
  In: 'In',
  NotIn: 'NotIn',
  Exists: 'Exists',
  DoesNotExist: 'DoesNotExist',
} as const;
/** How the label is compared: In, NotIn, Exists or DoesNotExist. */
export type KeyOwnerAllowedNamespacesSelectorMatchExpressionsOperator = (typeof KeyOwnerAllowedNamespacesSelectorMatchExpressionsOperator)[keyof typeof KeyOwnerAllowedNamespacesSelectorMatchExpressionsOperator];

export interface KeyOwnerAllowedNamespacesSelectorMatchExpressionsArgs {
  /** The label that the requirement is about. */
  key: pulumi.Input<string>;
  /** How the label is compared: In, NotIn, Exists or DoesNotExist. */
  operator: pulumi.Input<KeyOwnerAllowedNamespacesSelectorMatchExpressionsOperator>;
  /** The values for In and NotIn, at most 50. */
  values?: pulumi.Input<pulumi.Input<string>[]> | undefined;
}

/** Namespaces by their labels; an empty selector means all of them. */
export interface KeyOwnerAllowedNamespacesSelectorArgs {
  /** Labels that a namespace must have, at most 20. */
  matchLabels?: pulumi.Input<{ [name: string]: pulumi.Input<string> }> | undefined;
  /** Requirements that a namespace must meet, all of them, at most 20. */
  matchExpressions?: pulumi.Input<pulumi.Input<KeyOwnerAllowedNamespacesSelectorMatchExpressionsArgs>[]> | undefined;
}

/** The namespaces where keys of the owner may be declared; default: none. */
export interface KeyOwnerAllowedNamespacesArgs {
  /** Namespaces by name, at most 200. */
  names?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Namespaces by their labels; an empty selector means all of them. */
  selector?: pulumi.Input<KeyOwnerAllowedNamespacesSelectorArgs> | undefined;
  /** true = every namespace. */
  all?: pulumi.Input<boolean> | undefined;
}

export interface KeyOwnerGrantsArgs {
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

/** What an KeyOwner should be. */
export interface KeyOwnerSpecArgs {
  /** What the owner is: User, Team or Service. */
  type: pulumi.Input<KeyOwnerType>;
  /** The name that people know the owner by, 1 to 100 characters. */
  displayName: pulumi.Input<string>;
  /** The e-mail address of the owner, at most 254 characters. */
  email?: pulumi.Input<string> | undefined;
  /** true = every key of the owner is refused with owner_inactive; default false. */
  disabled?: pulumi.Input<boolean> | undefined;
  /** The KeyOwnerGroups whose rules count too, at most 50; default: none. */
  groups?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** The namespaces where keys of the owner may be declared; default: none. */
  allowedNamespaces?: pulumi.Input<KeyOwnerAllowedNamespacesArgs> | undefined;
  /** Rules, at most 20, each evaluated alone: a request is within the rights when one rule covers it; default: none. */
  grants?: pulumi.Input<pulumi.Input<KeyOwnerGrantsArgs>[]> | undefined;
}

export interface KeyOwnerAllowedNamespacesSelectorMatchExpressions {
  /** The label that the requirement is about. */
  readonly key: string;
  /** How the label is compared: In, NotIn, Exists or DoesNotExist. */
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  /** The values for In and NotIn, at most 50. */
  readonly values?: readonly string[] | undefined;
}

/** Namespaces by their labels; an empty selector means all of them. */
export interface KeyOwnerAllowedNamespacesSelector {
  /** Labels that a namespace must have, at most 20. */
  readonly matchLabels?: { readonly [name: string]: string } | undefined;
  /** Requirements that a namespace must meet, all of them, at most 20. */
  readonly matchExpressions?: readonly KeyOwnerAllowedNamespacesSelectorMatchExpressions[] | undefined;
}

/** The namespaces where keys of the owner may be declared; default: none. */
export interface KeyOwnerAllowedNamespaces {
  /** Namespaces by name, at most 200. */
  readonly names?: readonly string[] | undefined;
  /** Namespaces by their labels; an empty selector means all of them. */
  readonly selector?: KeyOwnerAllowedNamespacesSelector | undefined;
  /** true = every namespace. */
  readonly all?: boolean | undefined;
}

export interface KeyOwnerGrants {
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

/** What an KeyOwner should be, with its defaults. */
export interface KeyOwnerSpec {
  /** What the owner is: User, Team or Service. */
  readonly type: "User" | "Team" | "Service";
  /** The name that people know the owner by, 1 to 100 characters. */
  readonly displayName: string;
  /** The e-mail address of the owner, at most 254 characters. */
  readonly email?: string | undefined;
  /** true = every key of the owner is refused with owner_inactive; default false. */
  readonly disabled: boolean;
  /** The KeyOwnerGroups whose rules count too, at most 50; default: none. */
  readonly groups: readonly string[];
  /** The namespaces where keys of the owner may be declared; default: none. */
  readonly allowedNamespaces: KeyOwnerAllowedNamespaces;
  /** Rules, at most 20, each evaluated alone: a request is within the rights when one rule covers it; default: none. */
  readonly grants: readonly KeyOwnerGrants[];
}

export interface KeyOwnerStatusConditions {
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
export interface KeyOwnerStatusKeys {
  /** All of them. */
  readonly total: number;
  /** Those that are Ready. */
  readonly ready: number;
}

/** What an KeyOwner is: only the operator writes it. */
export interface KeyOwnerStatus {
  /** The metadata.generation that the status speaks of. */
  readonly observedGeneration?: number | undefined;
  /** The state in conditions, one per type. */
  readonly conditions: readonly KeyOwnerStatusConditions[];
  /** How many ApiKeys name the owner. */
  readonly keys?: KeyOwnerStatusKeys | undefined;
}

/** The arguments of an KeyOwner. */
export interface KeyOwnerArgs {
  /** Name, namespace, labels and annotations. Without a name it is that of the resource; nothing is appended. */
  metadata?: pulumi.Input<inputs.v1.ObjectMeta> | undefined;
  /** What it should be. */
  spec: pulumi.Input<KeyOwnerSpecArgs>;
}

/**
 * A user, team or service that owns keys: its rights are the ceiling of what they can do.
 *
 * By default an update waits until it is Ready; the annotation `pulumi.com/waitFor` or
 * `pulumi.com/skipAwait` says otherwise. 
 */
export class KeyOwner extends KeywrightResource {
  /** What it is in Kubernetes. */
  declare readonly metadata: pulumi.Output<outputs.v1.ObjectMeta>;
  /** What it should be, with its defaults. */
  declare readonly spec: pulumi.Output<KeyOwnerSpec>;
  /** What it is, as far as the operator has looked. */
  declare readonly status: pulumi.Output<KeyOwnerStatus | undefined>;

  /**
   * One that exists already. `id` is its name.
   *
   * @param name The name of the resource in the program.
   */
  static override get(name: string, id: pulumi.Input<pulumi.ID>, opts?: pulumi.CustomResourceOptions): KeyOwner;
  /** As every custom resource of `@pulumi/kubernetes` is looked up. */
  static override get(name: string, opts: CustomResourceGetOptions): KeyOwner;
  static override get(
    name: string,
    idOrOptions: pulumi.Input<pulumi.ID> | CustomResourceGetOptions,
    opts?: pulumi.CustomResourceOptions,
  ): KeyOwner {
    return new KeyOwner(name, undefined as unknown as KeyOwnerArgs, KeywrightResource.optionsToGet(idOrOptions, opts));
  }

  /** Whether it is an KeyOwner, also one of another copy of this package. */
  static override isInstance(candidate: unknown): candidate is KeyOwner {
    return KeywrightResource.isOfKind(candidate, 'KeyOwner');
  }

  /**
   * @param name The name of the resource in the program.
   * @param args Checked here as far as they are known; throws an error that names the fields at fault.
   */
  constructor(name: string, args: KeyOwnerArgs, opts?: pulumi.CustomResourceOptions) {
    super('KeyOwner', name, args, opts);
  }
}
