import {awaitFrames, type FrameSocket} from '../platform/frame-socket.ts';
import {type Call, isCall} from './call.ts';
import {CallBody} from './call-body.ts';
import {type CallFrame, decodeCredit, encodeCredit, frameKinds} from './call-frames.ts';
import {Reply} from './reply.ts';

/** A call as the host sees it. */
export interface HostedExchange {
  readonly call: Call;
  readonly method: string;
  /** Names and values in turn, as they came over the wire. */
  readonly headers: readonly string[];
  /** Null where there is none. */
  readonly body: CallBody | null;
  readonly reply: Reply;
}

interface Channel {
  readonly body: CallBody | null;
  readonly reply: Reply;
}

/** The host's end of its connection with the runtime. `onCall` is called for each call that comes. */
export function serveCalls(socketPath: string, onCall: (exchange: HostedExchange) => void): void {
  awaitFrames(socketPath, (socket) => {
    const channels = new Map<number, Channel>();
    return {
      frame(kind, channel, payload) {
        if (kind === frameKinds.call) {
          const exchange = openExchange(socket, channel, payload, channels);
          channels.set(channel, exchange);
          onCall(exchange);
        } else {
          // What comes for an answer that is over crossed it on the way.
          const open = channels.get(channel);
          if (open !== undefined) receive(open, kind, payload);
        }
      },
      closed() {
        for (const {body, reply} of channels.values()) {
          body?.cut();
          reply.leave();
        }
      },
    };
  });
}

function openExchange(
  socket: FrameSocket,
  channel: number,
  payload: Buffer,
  channels: Map<number, Channel>,
): HostedExchange {
  const {call, method, headers, hasBody}: CallFrame = JSON.parse(payload.toString());
  if (!isCall(call)) throw new TypeError('The frame does not come from the runtime.');
  const body = hasBody
    ? new CallBody((bytes) => socket.send(frameKinds.credit, channel, encodeCredit(bytes)))
    : null;
  const reply = new Reply({
    socket,
    channel,
    method,
    onOver() {
      channels.delete(channel);
      body?.cut();
    },
  });
  return {call, method, headers, body, reply};
}

function receive({body, reply}: Channel, kind: number, payload: Buffer): void {
  if (kind === frameKinds.data) body?.push(payload);
  else if (kind === frameKinds.end) body?.complete();
  else if (kind === frameKinds.credit) reply.acknowledge(decodeCredit(payload));
  else if (kind === frameKinds.abort) {
    body?.cut();
    reply.leave();
  }
}
