import { buildConnector } from 'undici';

/** The bytes that a server may send for each request, however it dresses them: an answer that is read has half of that at most. */
const bytesOfRequest = 512 * 1024;

/** Connections of one server, which end when it sends more than it was asked for. */
export interface BoundConnections {
  /** For undici's Agent. */
  readonly connect: buildConnector.connector;
  /** Makes a request and reads its answer. What the answer did not use of its allowance is gone with it. */
  readonly expecting: <T>(exchange: () => Promise<T>) => Promise<T>;
}

/**
 * Opens connections that end when more comes over all of them than their requests allow. The limits of undici and of ours are about
 * headers and bodies, and parsing takes the time of everything else: informational answers or extensions of chunks without an
 * end would take all of it until the deadline.
 */
export function boundConnections(options: buildConnector.BuildOptions): BoundConnections {
  const connect = buildConnector(options);
  let left = 0;
  let underWay = 0;
  return {
    expecting: async (exchange) => {
      underWay += 1;
      left += bytesOfRequest;
      try {
        return await exchange();
      } finally {
        underWay -= 1;
        left = Math.max(0, Math.min(left, underWay * bytesOfRequest));
      }
    },
    connect: (to, done) => {
      connect(to, (...[error, socket]) => {
        if (error !== null) {
          done(error, null);
          return;
        }
        let seen = socket.bytesRead;
        // Before undici listens: of what is destroyed here, it reads nothing.
        socket.on('readable', () => {
          left -= socket.bytesRead - seen;
          seen = socket.bytesRead;
          if (left < 0) socket.destroy(new Error('the server sends more than it was asked for'));
        });
        done(null, socket);
      });
    },
  };
}
