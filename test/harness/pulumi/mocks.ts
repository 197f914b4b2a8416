import * as pulumi from '@pulumi/pulumi';

/** A resource as the engine was told of it. */
export interface Registered {
  readonly type: string;
  readonly name: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly id: string | undefined;
  readonly custom: boolean;
  /** Options as the SDK sent them. */
  readonly sent: {
    readonly parent: string;
    readonly aliases: readonly string[];
    readonly deleteBeforeReplace: boolean;
    readonly replaceOnChanges: readonly string[];
    readonly customTimeouts: Readonly<Record<string, string>>;
  };
}

/** The member by which the SDK marks a secret on its way to the engine (`specialSigKey` of runtime/rpc). */
export const secretMark = '4dabf18193072939515e22adb298388d';

/** What came of a program that ran on the SDK's runtime mocks. */
export interface MockRun<T> {
  readonly result: T;
  /** In the order in which the SDK sent them, which is not always that of the program. */
  readonly registered: readonly Registered[];
  /** By the name of the resource; throws when there is none. */
  readonly find: (name: string) => Registered;
}

interface ReadRequest {
  getType(): string;
  getName(): string;
  getId(): string;
}

interface RegisterRequest {
  getType(): string;
  getName(): string;
  getCustom(): boolean;
  getObject(): { toJavaScript(): Readonly<Record<string, unknown>> };
  getParent(): string;
  getAliasesList(): readonly { getUrn(): string; getSpec(): { getName(): string; getType(): string } | undefined }[];
  getDeletebeforereplace(): boolean;
  getReplaceonchangesList(): readonly string[];
  getCustomtimeouts(): { getCreate(): string; getUpdate(): string; getDelete(): string } | undefined;
}

/**
 * Runs a program on the SDK's runtime mocks: what it registers is recorded, nothing is made. `preview`: as a preview, where
 * outputs of new resources may be unknown. Rejects with what the program threw; a fault in an output is no matter of mocks.
 */
export async function runMocked<T>(
  program: () => T | Promise<T>,
  options: { readonly preview?: boolean } = {},
): Promise<MockRun<T>> {
  const registered: Registered[] = [];
  await pulumi.runtime.setMocks(
    {
      newResource: (args) => ({
        id: args.id ?? `${args.name}-id`,
        state: { ...(args.inputs as object), status: { conditions: [{ type: 'Ready', status: 'True' }] } },
      }),
      call: (args) => args.inputs as object,
    },
    'project',
    'stack',
    options.preview ?? false,
  );
  record(pulumi.runtime.getMonitor() as unknown as MockMonitor, registered);
  try {
    const result = await program();
    const find = (name: string): Registered => {
      const found = registered.find((one) => one.name === name);
      if (found === undefined) throw new Error(`nothing was registered as ${name}`);
      return found;
    };
    return { result, registered, find };
  } finally {
    // What was begun goes on behind a program that has thrown.
    await pulumi.runtime.disconnect();
  }
}

interface MockMonitor {
  registerResource(request: RegisterRequest, callback: unknown): unknown;
  readResource(request: ReadRequest, callback: unknown): unknown;
}

/** The mocks are told the inputs alone: what else the SDK sends is read on its way. */
function record(monitor: MockMonitor, registered: Registered[]): void {
  const [register, read] = [monitor.registerResource.bind(monitor), monitor.readResource.bind(monitor)];
  monitor.registerResource = (request, callback) => {
    registered.push({
      type: request.getType(),
      name: request.getName(),
      inputs: request.getObject().toJavaScript(),
      id: undefined,
      custom: request.getCustom(),
      sent: sentOptions(request),
    });
    return register(request, callback);
  };
  monitor.readResource = (request, callback) => {
    registered.push({
      type: request.getType(),
      name: request.getName(),
      inputs: {},
      id: request.getId(),
      custom: true,
      sent: nothing,
    });
    return read(request, callback);
  };
}

const nothing: Registered['sent'] = {
  parent: '',
  aliases: [],
  deleteBeforeReplace: false,
  replaceOnChanges: [],
  customTimeouts: {},
};

function sentOptions(request: RegisterRequest): Registered['sent'] {
  const timeouts = request.getCustomtimeouts();
  const named = { create: timeouts?.getCreate(), update: timeouts?.getUpdate(), delete: timeouts?.getDelete() };
  return {
    parent: request.getParent(),
    aliases: request.getAliasesList().map((alias) => alias.getUrn() || (alias.getSpec()?.getName() ?? '')),
    deleteBeforeReplace: request.getDeletebeforereplace(),
    replaceOnChanges: request.getReplaceonchangesList(),
    customTimeouts: Object.fromEntries(Object.entries(named).flatMap(([name, text]) => (text ? [[name, text]] : []))),
  };
}

/** The value of an output, with what the SDK knows about it. */
export async function settled<T>(
  output: pulumi.Output<T>,
): Promise<{ readonly value: T | undefined; readonly isKnown: boolean; readonly isSecret: boolean }> {
  const inner = output as unknown as { promise(): Promise<T>; isKnown: Promise<boolean>; isSecret: Promise<boolean> };
  const isKnown = await inner.isKnown;
  return { value: isKnown ? await inner.promise() : undefined, isKnown, isSecret: await inner.isSecret };
}

/** An output that a preview does not know. */
export function unknownOutput<T>(): pulumi.Output<T> {
  return pulumi.output(pulumi.unknown) as unknown as pulumi.Output<T>;
}
