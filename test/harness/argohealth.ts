import { runLua } from './lua.ts';

/** What a health script of Argo CD answers. */
export interface Health {
  readonly status: string;
  readonly message: string;
}

/** One object, and the script for its kind. */
export interface HealthQuestion {
  readonly script: string;
  readonly object: object;
}

/**
 * What Argo CD gives a script of `argocd-cm` (util/lua/lua.go, Argo CD 3.6): base, table and a reduced os, and the object
 * as `obj`. There is no string, math or io, and texts have no methods.
 */
const argoCd = `
local write, type, pairs = io.write, type, pairs
getmetatable("").__index = nil
local base = { "assert", "error", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget", "rawset", "select",
  "setmetatable", "getmetatable", "tonumber", "tostring", "type", "unpack" }
local globals = _G
function ask(script, obj)
  local env = { obj = obj, actionParams = {}, table = table, os = { time = os.time, date = os.date } }
  env._G = env
  for _, name in ipairs(base) do env[name] = globals[name] end
  local answer = setfenv(assert(loadstring(script)), env)()
  assert(type(answer) == "table", "expect table output from Lua script, not " .. type(answer))
  write(tostring(answer.status), "\\t", tostring(answer.message), "\\n")
end
`;

/** Asks the scripts in one process, in this order. */
export async function askHealth(lua: string, questions: readonly HealthQuestion[]): Promise<readonly Health[]> {
  const calls = questions.map(({ script, object }) => `ask(${literal(script)}, ${literal(object)})`);
  const printed = await runLua(lua, `${argoCd}${calls.join('\n')}\n`);
  const answers = printed.split('\n').slice(0, -1);
  if (answers.length !== questions.length)
    throw new Error(`${questions.length} questions, ${answers.length} answers: ${printed}`);
  return answers.map((line) => {
    const [status = '', message = ''] = line.split('\t');
    return { status, message };
  });
}

/** A value of JSON as Lua writes it. */
function literal(value: unknown): string {
  if (value === null || value === undefined) return 'nil';
  if (typeof value === 'string') return `"${[...Buffer.from(value)].map(escaped).join('')}"`;
  if (Array.isArray(value)) return `{${value.map(literal).join(',')}}`;
  if (typeof value === 'object')
    return `{${Object.entries(value)
      .map(([name, member]) => `[${literal(name)}]=${literal(member)}`)
      .join(',')}}`;
  return JSON.stringify(value);
}

function escaped(byte: number): string {
  const character = String.fromCharCode(byte);
  return /[ A-Za-z0-9_.:/-]/.test(character) ? character : `\\${String(byte).padStart(3, '0')}`;
}
