// In place of your API, to try the readers beside it. As a gateway does, it asks Keywright about each call.
//   node examples/workload/api.mjs [<port> [<address of the verify API>]]
import { createServer } from 'node:http';

const [port = '8090', address = 'http://127.0.0.1:8080'] = process.argv.slice(2);

async function verify({ method, url: path, headers }) {
  const [, key = ''] = /^Bearer (.+)$/.exec(headers.authorization ?? '') ?? [];
  const request = { method, path, host: 'api.example.com', scheme: 'https' };
  const answer = await fetch(`${address}/v1/verify`, { method: 'POST', body: JSON.stringify({ key, request }) });
  return answer.json();
}

createServer((request, response) => {
  verify(request)
    .catch(() => ({ allowed: false, status: 503, code: 'unavailable' }))
    .then(({ allowed, keyId, status, code }) => {
      console.log(allowed ? `allowed ${keyId}` : `refused ${code}`);
      response.writeHead(allowed ? 200 : status).end(allowed ? keyId : code);
    });
}).listen(Number(port), '127.0.0.1', () => console.log(`answers at http://127.0.0.1:${port}`));
