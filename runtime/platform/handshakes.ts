import type {Socket, SocketHandler, TLSOptions} from 'bun';
import type {Certificate} from './certificate.ts';

/** An honest client never has more under way; the oldest of them ends. */
const mostUnderWay = 64;

/** The types of the engine do not know the server's side of it yet. */
interface Upgradable<Data> {
  upgradeTLS(options: {
    readonly tls: TLSOptions;
    readonly isServer: true;
    readonly socket: SocketHandler<Data>;
  }): readonly [raw: Socket<Data>, secure: Socket<Data>];
}

/** The TLS connections of a listener that accepts TCP. */
export interface Handshakes<Data> {
  /** Of a connection of which nothing was read yet. */
  begin(raw: Socket<Data>, certificate: Certificate): void;
  /** Ends all, those included that have shaken hands. */
  close(): void;
}

/** `opened` gets those whose handshake went well; one that takes longer than `timeoutSeconds` ends. */
export function createHandshakes<Data>({
  events,
  opened,
  timeoutSeconds,
}: {
  readonly events: SocketHandler<Data>;
  readonly opened: (secure: Socket<Data>) => void;
  readonly timeoutSeconds: number;
}): Handshakes<Data> {
  const all = new Set<Socket<Data>>();
  const underWay = new Set<Socket<Data>>();
  const socket: SocketHandler<Data> = {
    ...events,
    timeout: (secure) => secure.terminate(),
    handshake(secure, isGood) {
      underWay.delete(secure);
      secure.timeout(0);
      if (isGood) opened(secure);
      else secure.terminate();
    },
    close(secure) {
      underWay.delete(secure);
      all.delete(secure);
      events.close?.(secure);
    },
  };
  return {
    begin(raw, {certificate: cert, key}) {
      raw.resume();
      const [, secure] = (raw as Upgradable<Data>).upgradeTLS({tls: {cert, key}, isServer: true, socket});
      secure.timeout(timeoutSeconds);
      all.add(secure);
      underWay.add(secure);
      if (underWay.size > mostUnderWay) underWay.values().next().value?.terminate();
    },
    close() {
      for (const secure of all) secure.terminate();
    },
  };
}
