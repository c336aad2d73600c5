import {connect, type Socket} from 'node:net';
import {createResponseParser, type ResponseEvents, type ResponseParser} from './response-parser.ts';

export interface ExchangeEvents extends ResponseEvents {
  /** The connection broke before the answer was complete; nothing follows. */
  fail(error: Error): void;
  /** More of the request's body may be written. */
  drain(): void;
}

/** One request and its answer. */
export interface Exchange {
  /** A piece of the body as it goes over the wire; false when the reader is behind. */
  write(bytes: string | Uint8Array): boolean;
  /** Stops and goes on with the reading of the answer. */
  pause(): void;
  resume(): void;
  /** Gives up; no event follows. */
  abort(): void;
}

/** HTTP/1.1 over a unix socket whose other end is a program of ours. Connections are used again. */
export interface HostConnections {
  /** `head` is everything up to and including the empty line. */
  exchange(method: string, head: string, events: ExchangeEvents): Exchange;
  close(): void;
}

interface Connection {
  readonly socket: Socket;
  current: {readonly parser: ResponseParser; readonly events: ExchangeEvents} | null;
}

export function createHostConnections(socketPath: string): HostConnections {
  const idle: Connection[] = [];
  const all = new Set<Connection>();

  function open(): Connection {
    const connection: Connection = {socket: connect(socketPath), current: null};
    const {socket} = connection;
    all.add(connection);
    let problem: Error | null = null;
    const fail = (error: Error) => {
      const {current} = connection;
      connection.current = null;
      socket.destroy();
      current?.events.fail(error);
    };
    socket.on('data', (bytes: Buffer) => {
      const {current} = connection;
      try {
        // Nothing was asked: a script writes to a connection that is not its own any more.
        if (current === null) socket.destroy();
        else current.parser.feed(bytes);
      } catch (error) {
        fail(error instanceof Error ? error : new Error(String(error)));
      }
    });
    socket.on('drain', () => connection.current?.events.drain());
    socket.on('error', (error) => {
      problem = error;
    });
    socket.on('close', () => {
      all.delete(connection);
      const place = idle.indexOf(connection);
      if (place !== -1) idle.splice(place, 1);
      try {
        connection.current?.parser.close();
      } catch (error) {
        fail(problem ?? (error instanceof Error ? error : new Error(String(error))));
      }
    });
    return connection;
  }

  return {
    exchange(method, head, events) {
      const connection = idle.pop() ?? open();
      const {socket} = connection;
      const parser = createResponseParser(method, {
        ...events,
        end() {
          connection.current = null;
          events.end();
          // Whether bytes follow is known when all that came with the end have been looked at.
          queueMicrotask(() => {
            socket.resume();
            if (parser.isReusable && !socket.destroyed) idle.push(connection);
            else socket.destroy();
          });
        },
      });
      connection.current = {parser, events};
      socket.write(head, 'latin1');
      return {
        write: (bytes) => socket.write(bytes),
        pause: () => void socket.pause(),
        resume: () => void socket.resume(),
        abort() {
          if (connection.current?.parser !== parser) return;
          connection.current = null;
          socket.destroy();
        },
      };
    },
    close() {
      for (const {socket} of all) socket.destroy();
    },
  };
}
