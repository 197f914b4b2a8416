// A program that lives through rotations: it reads its key from the file for each call, and never restarts.
//   node examples/rotation/client.mjs <data folder> [<address of the verify API>]
// In place of a real API, whose gateway would do it, it asks the verify API itself.
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';

const [data = '.keywright-rotation', address = 'http://127.0.0.1:8080'] = process.argv.slice(2);
const file = `${data}/secrets/default/rotating-api-key/api-key`;
const request = { method: 'GET', path: '/v1/subscribers', host: 'api.example.com', scheme: 'https' };

/** Ends with one sentence instead of a stack. */
function end(sentence) {
  console.error(sentence);
  process.exit(1);
}

for (;;) {
  const key = await readFile(file, 'utf8').catch(({ code }) =>
    end(`${file} cannot be read (${code}): is npm start running on ${data}?`),
  );
  const answer = await fetch(`${address}/v1/verify`, { method: 'POST', body: JSON.stringify({ key, request }) }).catch(() =>
    end(`nobody answers at ${address}: run npm start, or give its address`),
  );
  const { allowed, keyId = '', code = '' } = await answer.json();
  console.log(allowed ? `allowed ${keyId}` : `refused ${code}`);
  await pause(200);
}
