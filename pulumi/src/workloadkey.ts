import * as pulumi from '@pulumi/pulumi';
import { isLater } from './later.ts';
import { ApiKey, type ApiKeySpecArgs } from './generated/apikey.ts';
import type { WorkloadKeySpecArgs } from './generated/workloadkeyspec.ts';

/** The arguments of a {@link WorkloadKey}. */
export interface WorkloadKeyArgs {
  /** The namespace of the workload; default: that of the provider. */
  namespace?: pulumi.Input<string> | undefined;
  /** The ApiKey, without `deliverTo`: it is delivered to a Secret in the namespace. */
  spec: pulumi.Input<WorkloadKeySpecArgs>;
  /** The name of the Secret, and of the volume; default: the name of the resource. */
  secretName?: pulumi.Input<string> | undefined;
  /** The folder below which the volume is mounted; default /bindings, as the Service Binding specification has it. */
  bindingRoot?: pulumi.Input<string> | undefined;
}

/** A volume of a Pod. */
export interface WorkloadKeyVolume {
  name: string;
  secret: WorkloadKeySecret;
}

/** The Secret of a volume. */
export interface WorkloadKeySecret {
  secretName: string;
}

/** Where a container sees a volume. */
export interface WorkloadKeyVolumeMount {
  name: string;
  mountPath: string;
  readOnly: boolean;
}

/** A variable of a container. */
export interface WorkloadKeyVariable {
  name: string;
  value: string;
}

const defaultRoot = '/bindings';
const deliveryName = 'workload';

/**
 * A key for a workload: an ApiKey that is delivered to a Secret, and what a Deployment needs to mount it. Everything here is a
 * reference; the value is only in the Secret. A Deployment that uses these outputs begins when the key is Ready.
 */
export class WorkloadKey extends pulumi.ComponentResource {
  /** The name of the ApiKey. */
  readonly apiKeyName: pulumi.Output<string>;
  /** The name of the Secret. */
  readonly secretName: pulumi.Output<string>;
  /** For `volumes` of the Pod. */
  readonly volume: pulumi.Output<WorkloadKeyVolume>;
  /** For `volumeMounts` of the container. */
  readonly volumeMount: pulumi.Output<WorkloadKeyVolumeMount>;
  /** For `env` of the container: SERVICE_BINDING_ROOT, and API_KEY_FILE with the path of the file to read. */
  readonly env: pulumi.Output<WorkloadKeyVariable[]>;

  constructor(name: string, args: WorkloadKeyArgs, opts?: pulumi.ComponentResourceOptions) {
    super('keywright:index:WorkloadKey', name, args, opts);
    const wantedSecret = args.secretName ?? name;
    const { namespace } = args;
    const deliverTo = [{ name: deliveryName, secret: { name: wantedSecret } }];
    const spec = isLater(args.spec)
      ? pulumi.output(args.spec).apply((known) => ({ ...known, deliverTo }))
      : { ...args.spec, deliverTo };
    const metadata = namespace === undefined ? {} : { namespace };
    const apiKey = new ApiKey(name, { metadata, spec: spec as pulumi.Input<ApiKeySpecArgs> }, { parent: this });
    // Through what the API server gave back, so that whoever uses it waits for the key.
    const mounted = pulumi
      .all([apiKey.metadata, wantedSecret, args.bindingRoot ?? defaultRoot])
      .apply(([, secret, root]) => ({ secret, path: `${root}/${secret}`, root }));
    this.apiKeyName = apiKey.metadata.apply((known) => known.name);
    this.secretName = mounted.apply(({ secret }) => secret);
    this.volume = mounted.apply(({ secret }) => ({ name: volumeName(secret), secret: { secretName: secret } }));
    this.volumeMount = mounted.apply(({ secret, path }) => ({ name: volumeName(secret), mountPath: path, readOnly: true }));
    this.env = mounted.apply(({ path, root }) => [
      { name: 'SERVICE_BINDING_ROOT', value: root },
      { name: 'API_KEY_FILE', value: `${path}/api-key` },
    ]);
    this.registerOutputs({
      apiKeyName: this.apiKeyName,
      secretName: this.secretName,
      volume: this.volume,
      volumeMount: this.volumeMount,
      env: this.env,
    });
  }
}

/** A volume has the name of a DNS label; a Secret may have dots. */
function volumeName(secret: string): string {
  return secret.replaceAll('.', '-').slice(0, 63).replace(/-+$/, '');
}
