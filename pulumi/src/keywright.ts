import { Release } from '@pulumi/kubernetes/helm/v3/release.js';
import * as pulumi from '@pulumi/pulumi';
import { join } from 'node:path';
import type { KeywrightValuesArgs } from './generated/values.ts';

/** The arguments of {@link Keywright}. */
export interface KeywrightArgs {
  /** The namespace of the operator; default keywright-system. */
  namespace?: pulumi.Input<string> | undefined;
  /** Whether the namespace is made, too; default true. */
  createNamespace?: pulumi.Input<boolean> | undefined;
  /** The values of the chart. */
  values?: pulumi.Input<KeywrightValuesArgs> | undefined;
  /** Another chart than the one of this package: a path, or a reference such as oci://…/keywright. */
  chart?: pulumi.Input<string> | undefined;
  /** The version of that chart. */
  version?: pulumi.Input<string> | undefined;
  /** How long an update waits until the operator and the authorizer are ready, in seconds; default 300. */
  timeout?: pulumi.Input<number> | undefined;
}

const defaultNamespace = 'keywright-system';
const defaultTimeoutS = 300;
/** The chart that the build puts beside this file. */
const ownChart = join(__dirname, 'chart');

/**
 * Keywright in a cluster: a Helm release of the chart that comes with this package. A release rather than its rendered
 * objects, because the chart looks up what it made once (the peppers), which a rendering without the cluster cannot.
 */
export class Keywright extends pulumi.ComponentResource {
  /** The namespace of the operator. */
  readonly namespace: pulumi.Output<string>;
  /** Where gateways ask: the address of the verify API within the cluster. */
  readonly verifyUrl: pulumi.Output<string>;
  /** The Secret with the token that gateways send in the header Keywright-Caller, as its entry `token`. */
  readonly callerSecretName: pulumi.Output<string>;

  constructor(name: string, args: KeywrightArgs, opts?: pulumi.ComponentResourceOptions) {
    const values = withSecretUrl(args.values ?? {});
    // The state keeps the arguments of a component, too.
    super('keywright:index:Keywright', name, { ...args, values }, opts);
    const { version } = args;
    const release = new Release(
      name,
      {
        name: 'keywright',
        chart: args.chart ?? ownChart,
        ...(version === undefined ? {} : { version }),
        namespace: args.namespace ?? defaultNamespace,
        createNamespace: args.createNamespace ?? true,
        timeout: args.timeout ?? defaultTimeoutS,
        values,
      },
      { parent: this },
    );
    const said = pulumi.output(args.values ?? {});
    // Through the release, so that whoever uses it waits for it.
    this.namespace = release.namespace;
    const address = pulumi.all([release.namespace, said]).apply(([namespace, known]) => {
      const { tls, service } = known.authorizer ?? {};
      const scheme = (tls?.existingSecret ?? '') === '' ? 'http' : 'https';
      return `${scheme}://keywright-authorizer.${namespace}.svc:${service?.port ?? 8080}/v1/verify`;
    });
    this.verifyUrl = unsecret(address);
    this.callerSecretName = unsecret(
      pulumi.all([release.status, said]).apply(([, known]) => {
        const own = known.authorizer?.callers?.existingSecret ?? '';
        return own === '' ? 'keywright-callers' : own;
      }),
    );
    this.registerOutputs({
      namespace: this.namespace,
      verifyUrl: this.verifyUrl,
      callerSecretName: this.callerSecretName,
    });
  }
}

/** Neither an address nor the name of a Secret is one, though the URL of the database among the values is. */
function unsecret<T>(output: pulumi.Output<T>): pulumi.Output<T> {
  return pulumi.unsecret(output);
}

/** The URL of the database holds its password: with it the state keeps the values encrypted, whatever the program says. */
function withSecretUrl(values: pulumi.Input<KeywrightValuesArgs>): pulumi.Input<{ [name: string]: unknown }> {
  return pulumi.output(values).apply((known) => {
    const all: { [name: string]: unknown } = { ...known };
    return (known.database?.url ?? '') === '' ? pulumi.output(all) : pulumi.secret(all);
  });
}
