import * as pulumi from '@pulumi/pulumi';

/** Whether a value comes later: an output of another resource, or a promise. */
export function isLater(value: unknown): value is pulumi.OutputInstance<unknown> | Promise<unknown> {
  return pulumi.Output.isInstance(value) || value instanceof Promise;
}

/** A value that may hold outputs at any depth as one output, known when all of them are. */
export function wholeOf(value: unknown): pulumi.OutputInstance<unknown> {
  return pulumi.output(value as object);
}

/**
 * A value with what its outputs and promises became, at any depth; `pulumi.unknown` stands where a preview does not know.
 * `apply` would not answer for those at all. The SDK has this member without declaring it.
 */
export async function settledOf(value: unknown): Promise<unknown> {
  const whole = wholeOf(value) as unknown as { promise(withUnknowns: true): Promise<unknown> };
  return await whole.promise(true);
}
