// Made by `npm run generate` from operator/src: edit there.
import type { CustomResourceGetOptions } from '@pulumi/kubernetes/apiextensions/customResource.js';
import type { meta as inputs } from '@pulumi/kubernetes/types/input.js';
import type { meta as outputs } from '@pulumi/kubernetes/types/output.js';
import type * as pulumi from '@pulumi/pulumi';
import type { Replacement } from '../replace.ts';
import { KeywrightResource } from '../resource.ts';

/** How the label is compared: In, NotIn, Exists or DoesNotExist. */
export const KeyDestinationAllowedNamespacesSelectorMatchExpressionsOperator = {
  In: 'In',
  NotIn: 'NotIn',
  Exists: 'Exists',
  DoesNotExist: 'DoesNotExist',
} as const;
/** How the label is compared: In, NotIn, Exists or DoesNotExist. */
export type KeyDestinationAllowedNamespacesSelectorMatchExpressionsOperator = (typeof KeyDestinationAllowedNamespacesSelectorMatchExpressionsOperator)[keyof typeof KeyDestinationAllowedNamespacesSelectorMatchExpressionsOperator];

export interface KeyDestinationAllowedNamespacesSelectorMatchExpressionsArgs {
  /** The label that the requirement is about. */
  key: pulumi.Input<string>;
  /** How the label is compared: In, NotIn, Exists or DoesNotExist. */
  operator: pulumi.Input<KeyDestinationAllowedNamespacesSelectorMatchExpressionsOperator>;
  /** The values for In and NotIn, at most 50. */
  values?: pulumi.Input<pulumi.Input<string>[]> | undefined;
}

/** Namespaces by their labels; an empty selector means all of them. */
export interface KeyDestinationAllowedNamespacesSelectorArgs {
  /** Labels that a namespace must have, at most 20. */
  matchLabels?: pulumi.Input<{ [name: string]: pulumi.Input<string> }> | undefined;
  /** Requirements that a namespace must meet, all of them, at most 20. */
  matchExpressions?: pulumi.Input<pulumi.Input<KeyDestinationAllowedNamespacesSelectorMatchExpressionsArgs>[]> | undefined;
}

/** The namespaces whose keys may be delivered there; default: none. */
export interface KeyDestinationAllowedNamespacesArgs {
  /** Namespaces by name, at most 200. */
  names?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Namespaces by their labels; an empty selector means all of them. */
  selector?: pulumi.Input<KeyDestinationAllowedNamespacesSelectorArgs> | undefined;
  /** true = every namespace. */
  all?: pulumi.Input<boolean> | undefined;
}

/** The ServiceAccount that logs in: keywright-vault, the default, or one that the installation permits. Never that of the operator. */
export interface KeyDestinationVaultAuthKubernetesServiceAccountRefArgs {
  /** The name of the ServiceAccount in the operator's namespace, at most 63 characters. */
  name: pulumi.Input<string>;
}

/** Login with a token of a ServiceAccount that has no rights in the cluster. */
export interface KeyDestinationVaultAuthKubernetesArgs {
  /** The role of the auth method, at most 200 characters. */
  role: pulumi.Input<string>;
  /** The ServiceAccount that logs in: keywright-vault, the default, or one that the installation permits. Never that of the operator. */
  serviceAccountRef?: pulumi.Input<KeyDestinationVaultAuthKubernetesServiceAccountRefArgs> | undefined;
  /** The audience of the token that is requested for the login, at most 200 characters; default: the address, with scheme and host in lower case. For any other audience, list the server in destinations.vaultAddresses. */
  audience?: pulumi.Input<string> | undefined;
  /** Where the auth method is mounted, 1 to 5 segments; default kubernetes. */
  mount?: pulumi.Input<string> | undefined;
}

/** A Secret in the operator's namespace that bears the label keywright.dev/credential. */
export interface KeyDestinationVaultAuthAppRoleSecretRefArgs {
  /** The name of the Secret in the operator's namespace, at most 63 characters. */
  name: pulumi.Input<string>;
  /** The entry of the Secret, at most 253 characters; default secret-id. */
  key?: pulumi.Input<string> | undefined;
}

/** Login with a role id and a secret id. */
export interface KeyDestinationVaultAuthAppRoleArgs {
  /** The role id, at most 200 characters. */
  roleId: pulumi.Input<string>;
  /** A Secret in the operator's namespace that bears the label keywright.dev/credential. */
  secretRef: pulumi.Input<KeyDestinationVaultAuthAppRoleSecretRefArgs>;
  /** Where the auth method is mounted, 1 to 5 segments; default approle. */
  mount?: pulumi.Input<string> | undefined;
}

/** A Secret in the operator's namespace that bears the label keywright.dev/credential. */
export interface KeyDestinationVaultAuthTokenSecretRefArgs {
  /** The name of the Secret in the operator's namespace, at most 63 characters. */
  name: pulumi.Input<string>;
  /** The entry of the Secret, at most 253 characters; default token. */
  key?: pulumi.Input<string> | undefined;
}

/** A token as it is. */
export interface KeyDestinationVaultAuthTokenArgs {
  /** A Secret in the operator's namespace that bears the label keywright.dev/credential. */
  secretRef: pulumi.Input<KeyDestinationVaultAuthTokenSecretRefArgs>;
}

/** How the operator logs in: kubernetes, appRole or token. */
export interface KeyDestinationVaultAuthArgs {
  /** Login with a token of a ServiceAccount that has no rights in the cluster. */
  kubernetes?: pulumi.Input<KeyDestinationVaultAuthKubernetesArgs> | undefined;
  /** Login with a role id and a secret id. */
  appRole?: pulumi.Input<KeyDestinationVaultAuthAppRoleArgs> | undefined;
  /** A token as it is. */
  token?: pulumi.Input<KeyDestinationVaultAuthTokenArgs> | undefined;
}

/** A KV version 2 engine of HashiCorp Vault or OpenBao. */
export interface KeyDestinationVaultArgs {
  /** The URL of Vault, with the path of a gateway before it if there is one, at most 500 characters; immutable. Plain http needs a server that the installation lists as insecure, or loopback outside of a Pod. */
  address: pulumi.Input<string>;
  /** The mount of the KV version 2 engine, 1 to 5 segments; immutable. */
  mount: pulumi.Input<string>;
  /** The template of the paths, at most 512 characters; default keywright/{namespace}/{name}; immutable. Give two destinations on one server templates that cannot meet. */
  path?: pulumi.Input<string> | undefined;
  /** How the operator logs in: kubernetes, appRole or token. */
  auth: pulumi.Input<KeyDestinationVaultAuthArgs>;
  /** The certificates in PEM that the server is checked against, at most 65536 characters; default: those of the system. */
  caBundle?: pulumi.Input<string> | undefined;
  /** The Vault namespace, 1 to 8 segments; immutable. */
  namespace?: pulumi.Input<string> | undefined;
}

/** A Secret in the operator's namespace with the label keywright.dev/credential: aws, and access-key-id, secret-access-key and, for a session, session-token. To rotate them, change the content of the Secret: if the name changes, each key needs a confirmation before it is delivered there. */
export interface KeyDestinationAwsAuthSecretRefArgs {
  /** The name of the Secret in the operator's namespace, at most 63 characters. */
  name: pulumi.Input<string>;
}

/** How the operator logs in: irsa, roleArn or secretRef. */
export interface KeyDestinationAwsAuthArgs {
  /** The role of the ServiceAccount of the operator: IRSA, or EKS Pod Identity. */
  irsa?: pulumi.Input<{ [name: string]: unknown }> | undefined;
  /** A role to assume with the role of the ServiceAccount of the operator, at most 2048 characters. If its account changes, or it takes the place of another login, each key needs a confirmation before it is delivered there. */
  roleArn?: pulumi.Input<string> | undefined;
  /** The external id for roleArn, at most 1224 characters. */
  externalId?: pulumi.Input<string> | undefined;
  /** A Secret in the operator's namespace with the label keywright.dev/credential: aws, and access-key-id, secret-access-key and, for a session, session-token. To rotate them, change the content of the Secret: if the name changes, each key needs a confirmation before it is delivered there. */
  secretRef?: pulumi.Input<KeyDestinationAwsAuthSecretRefArgs> | undefined;
}

/** AWS Secrets Manager in one account and region. */
export interface KeyDestinationAwsArgs {
  /** The region, at most 30 characters; immutable. */
  region: pulumi.Input<string>;
  /** The template of the names, at most 512 characters; default keywright/{namespace}/{name}; immutable. Give two destinations on one server templates that cannot meet. */
  name?: pulumi.Input<string> | undefined;
  /** How the operator logs in: irsa, roleArn or secretRef. */
  auth: pulumi.Input<KeyDestinationAwsAuthArgs>;
  /** The KMS key for the values, at most 2048 characters; default: the key of the account. */
  kmsKeyId?: pulumi.Input<string> | undefined;
  /** Another URL of the service, at most 500 characters; default: that of the region; immutable. An endpoint outside AWS must be listed in destinations.awsEndpoints. */
  endpoint?: pulumi.Input<string> | undefined;
  /** Another URL of AWS STS for irsa and roleArn, at most 500 characters; default: that of the region. An endpoint outside AWS must be listed in destinations.awsEndpoints. */
  stsEndpoint?: pulumi.Input<string> | undefined;
  /** Tags for every secret, at most 20, values of at most 256 characters. */
  tags?: pulumi.Input<{ [name: string]: pulumi.Input<string> }> | undefined;
  /** How long a withdrawn secret can be restored, as a duration from 168h to 720h, whole days; default 168h. */
  recoveryWindow?: pulumi.Input<string> | undefined;
}

/** What an KeyDestination should be. */
export interface KeyDestinationSpecArgs {
  /** The namespaces whose keys may be delivered there; default: none. */
  allowedNamespaces?: pulumi.Input<KeyDestinationAllowedNamespacesArgs> | undefined;
  /** A KV version 2 engine of HashiCorp Vault or OpenBao. */
  vault?: pulumi.Input<KeyDestinationVaultArgs> | undefined;
  /** AWS Secrets Manager in one account and region. */
  aws?: pulumi.Input<KeyDestinationAwsArgs> | undefined;
}

export interface KeyDestinationAllowedNamespacesSelectorMatchExpressions {
  /** The label that the requirement is about. */
  readonly key: string;
  /** How the label is compared: In, NotIn, Exists or DoesNotExist. */
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  /** The values for In and NotIn, at most 50. */
  readonly values?: readonly string[] | undefined;
}

/** Namespaces by their labels; an empty selector means all of them. */
export interface KeyDestinationAllowedNamespacesSelector {
  /** Labels that a namespace must have, at most 20. */
  readonly matchLabels?: { readonly [name: string]: string } | undefined;
  /** Requirements that a namespace must meet, all of them, at most 20. */
  readonly matchExpressions?: readonly KeyDestinationAllowedNamespacesSelectorMatchExpressions[] | undefined;
}

/** The namespaces whose keys may be delivered there; default: none. */
export interface KeyDestinationAllowedNamespaces {
  /** Namespaces by name, at most 200. */
  readonly names?: readonly string[] | undefined;
  /** Namespaces by their labels; an empty selector means all of them. */
  readonly selector?: KeyDestinationAllowedNamespacesSelector | undefined;
  /** true = every namespace. */
  readonly all?: boolean | undefined;
}

/** The ServiceAccount that logs in: keywright-vault, the default, or one that the installation permits. Never that of the operator. */
export interface KeyDestinationVaultAuthKubernetesServiceAccountRef {
  /** The name of the ServiceAccount in the operator's namespace, at most 63 characters. */
  readonly name: string;
}

/** Login with a token of a ServiceAccount that has no rights in the cluster. */
export interface KeyDestinationVaultAuthKubernetes {
  /** The role of the auth method, at most 200 characters. */
  readonly role: string;
  /** The ServiceAccount that logs in: keywright-vault, the default, or one that the installation permits. Never that of the operator. */
  readonly serviceAccountRef: KeyDestinationVaultAuthKubernetesServiceAccountRef;
  /** The audience of the token that is requested for the login, at most 200 characters; default: the address, with scheme and host in lower case. For any other audience, list the server in destinations.vaultAddresses. */
  readonly audience?: string | undefined;
  /** Where the auth method is mounted, 1 to 5 segments; default kubernetes. */
  readonly mount: string;
}

/** A Secret in the operator's namespace that bears the label keywright.dev/credential. */
export interface KeyDestinationVaultAuthAppRoleSecretRef {
  /** The name of the Secret in the operator's namespace, at most 63 characters. */
  readonly name: string;
  /** The entry of the Secret, at most 253 characters; default secret-id. */
  readonly key: string;
}

/** Login with a role id and a secret id. */
export interface KeyDestinationVaultAuthAppRole {
  /** The role id, at most 200 characters. */
  readonly roleId: string;
  /** A Secret in the operator's namespace that bears the label keywright.dev/credential. */
  readonly secretRef: KeyDestinationVaultAuthAppRoleSecretRef;
  /** Where the auth method is mounted, 1 to 5 segments; default approle. */
  readonly mount: string;
}

/** A Secret in the operator's namespace that bears the label keywright.dev/credential. */
export interface KeyDestinationVaultAuthTokenSecretRef {
  /** The name of the Secret in the operator's namespace, at most 63 characters. */
  readonly name: string;
  /** The entry of the Secret, at most 253 characters; default token. */
  readonly key: string;
}

/** A token as it is. */
export interface KeyDestinationVaultAuthToken {
  /** A Secret in the operator's namespace that bears the label keywright.dev/credential. */
  readonly secretRef: KeyDestinationVaultAuthTokenSecretRef;
}

/** How the operator logs in: kubernetes, appRole or token. */
export interface KeyDestinationVaultAuth {
  /** Login with a token of a ServiceAccount that has no rights in the cluster. */
  readonly kubernetes?: KeyDestinationVaultAuthKubernetes | undefined;
  /** Login with a role id and a secret id. */
  readonly appRole?: KeyDestinationVaultAuthAppRole | undefined;
  /** A token as it is. */
  readonly token?: KeyDestinationVaultAuthToken | undefined;
}

/** A KV version 2 engine of HashiCorp Vault or OpenBao. */
export interface KeyDestinationVault {
  /** The URL of Vault, with the path of a gateway before it if there is one, at most 500 characters; immutable. Plain http needs a server that the installation lists as insecure, or loopback outside of a Pod. */
  readonly address: string;
  /** The mount of the KV version 2 engine, 1 to 5 segments; immutable. */
  readonly mount: string;
  /** The template of the paths, at most 512 characters; default keywright/{namespace}/{name}; immutable. Give two destinations on one server templates that cannot meet. */
  readonly path: string;
  /** How the operator logs in: kubernetes, appRole or token. */
  readonly auth: KeyDestinationVaultAuth;
  /** The certificates in PEM that the server is checked against, at most 65536 characters; default: those of the system. */
  readonly caBundle?: string | undefined;
  /** The Vault namespace, 1 to 8 segments; immutable. */
  readonly namespace?: string | undefined;
}

/** A Secret in the operator's namespace with the label keywright.dev/credential: aws, and access-key-id, secret-access-key and, for a session, session-token. To rotate them, change the content of the Secret: if the name changes, each key needs a confirmation before it is delivered there. */
export interface KeyDestinationAwsAuthSecretRef {
  /** The name of the Secret in the operator's namespace, at most 63 characters. */
  readonly name: string;
}

/** How the operator logs in: irsa, roleArn or secretRef. */
export interface KeyDestinationAwsAuth {
  /** The role of the ServiceAccount of the operator: IRSA, or EKS Pod Identity. */
  readonly irsa?: { [name: string]: unknown } | undefined;
  /** A role to assume with the role of the ServiceAccount of the operator, at most 2048 characters. If its account changes, or it takes the place of another login, each key needs a confirmation before it is delivered there. */
  readonly roleArn?: string | undefined;
  /** The external id for roleArn, at most 1224 characters. */
  readonly externalId?: string | undefined;
  /** A Secret in the operator's namespace with the label keywright.dev/credential: aws, and access-key-id, secret-access-key and, for a session, session-token. To rotate them, change the content of the Secret: if the name changes, each key needs a confirmation before it is delivered there. */
  readonly secretRef?: KeyDestinationAwsAuthSecretRef | undefined;
}

/** AWS Secrets Manager in one account and region. */
export interface KeyDestinationAws {
  /** The region, at most 30 characters; immutable. */
  readonly region: string;
  /** The template of the names, at most 512 characters; default keywright/{namespace}/{name}; immutable. Give two destinations on one server templates that cannot meet. */
  readonly name: string;
  /** How the operator logs in: irsa, roleArn or secretRef. */
  readonly auth: KeyDestinationAwsAuth;
  /** The KMS key for the values, at most 2048 characters; default: the key of the account. */
  readonly kmsKeyId?: string | undefined;
  /** Another URL of the service, at most 500 characters; default: that of the region; immutable. An endpoint outside AWS must be listed in destinations.awsEndpoints. */
  readonly endpoint?: string | undefined;
  /** Another URL of AWS STS for irsa and roleArn, at most 500 characters; default: that of the region. An endpoint outside AWS must be listed in destinations.awsEndpoints. */
  readonly stsEndpoint?: string | undefined;
  /** Tags for every secret, at most 20, values of at most 256 characters. */
  readonly tags?: { readonly [name: string]: string } | undefined;
  /** How long a withdrawn secret can be restored, as a duration from 168h to 720h, whole days; default 168h. */
  readonly recoveryWindow: string;
}

/** What an KeyDestination should be, with its defaults. */
export interface KeyDestinationSpec {
  /** The namespaces whose keys may be delivered there; default: none. */
  readonly allowedNamespaces: KeyDestinationAllowedNamespaces;
  /** A KV version 2 engine of HashiCorp Vault or OpenBao. */
  readonly vault?: KeyDestinationVault | undefined;
  /** AWS Secrets Manager in one account and region. */
  readonly aws?: KeyDestinationAws | undefined;
}

export interface KeyDestinationStatusConditions {
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

/** What an KeyDestination is: only the operator writes it. */
export interface KeyDestinationStatus {
  /** The metadata.generation that the status speaks of. */
  readonly observedGeneration?: number | undefined;
  /** The state in conditions, one per type. */
  readonly conditions: readonly KeyDestinationStatusConditions[];
  /** The ApiKeys with a value there, at most a minute old. */
  readonly keys?: number | undefined;
  /** When login and rights were last checked. */
  readonly lastCheckedAt?: string | undefined;
}

/** The arguments of an KeyDestination. */
export interface KeyDestinationArgs {
  /** Name, namespace, labels and annotations. Without a name it is that of the resource; nothing is appended. */
  metadata?: pulumi.Input<inputs.v1.ObjectMeta> | undefined;
  /** What it should be. */
  spec: pulumi.Input<KeyDestinationSpecArgs>;
  /** What follows when an immutable field changes; without it such a change is refused. */
  replace?: Replacement | undefined;
}

/**
 * A place that keys are delivered to: a Vault mount, or AWS Secrets Manager in one account and region.
 *
 * By default an update waits until it is Ready; the annotation `pulumi.com/waitFor` or
 * `pulumi.com/skipAwait` says otherwise. 
 */
export class KeyDestination extends KeywrightResource {
  /** What it is in Kubernetes. */
  declare readonly metadata: pulumi.Output<outputs.v1.ObjectMeta>;
  /** What it should be, with its defaults. */
  declare readonly spec: pulumi.Output<KeyDestinationSpec>;
  /** What it is, as far as the operator has looked. */
  declare readonly status: pulumi.Output<KeyDestinationStatus | undefined>;

  /**
   * One that exists already. `id` is its name.
   *
   * @param name The name of the resource in the program.
   */
  static override get(name: string, id: pulumi.Input<pulumi.ID>, opts?: pulumi.CustomResourceOptions): KeyDestination;
  /** As every custom resource of `@pulumi/kubernetes` is looked up. */
  static override get(name: string, opts: CustomResourceGetOptions): KeyDestination;
  static override get(
    name: string,
    idOrOptions: pulumi.Input<pulumi.ID> | CustomResourceGetOptions,
    opts?: pulumi.CustomResourceOptions,
  ): KeyDestination {
    return new KeyDestination(name, undefined as unknown as KeyDestinationArgs, KeywrightResource.optionsToGet(idOrOptions, opts));
  }

  /** Whether it is an KeyDestination, also one of another copy of this package. */
  static override isInstance(candidate: unknown): candidate is KeyDestination {
    return KeywrightResource.isOfKind(candidate, 'KeyDestination');
  }

  /**
   * @param name The name of the resource in the program.
   * @param args Checked here as far as they are known; throws an error that names the fields at fault.
   */
  constructor(name: string, args: KeyDestinationArgs, opts?: pulumi.CustomResourceOptions) {
    super('KeyDestination', name, args, opts);
  }
}
