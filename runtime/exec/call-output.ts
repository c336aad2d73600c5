import {nextTurn} from '../platform/clock.ts';
import type {HostMessage, OutputChunk} from './host-messages.ts';

/** What a call prints, on its way to the runtime. */
export interface CallOutput {
  write(stream: 'stdout' | 'stderr', text: string): void;
  flush(): void;
}

/** A call may print so much; the rest is counted only. */
const mostLength = 512 * 1024;
/** A script that prints and never waits is sent on in the middle. */
const sendAtLength = 16 * 1024;

export function createCallOutput(executionId: string, send: (message: HostMessage) => void): CallOutput {
  let chunks: OutputChunk[] = [];
  let waitingLength = 0;
  let sentLength = 0;
  let leftOut = 0;
  let isScheduled = false;

  function flush(): void {
    if (chunks.length === 0 && leftOut === 0) return;
    send({type: 'output', executionId, chunks, leftOut});
    chunks = [];
    waitingLength = 0;
    leftOut = 0;
  }

  return {
    write(stream, text) {
      const room = Math.max(0, mostLength - sentLength);
      const kept = text.slice(0, room);
      leftOut += text.length - kept.length;
      sentLength += kept.length;
      waitingLength += kept.length;
      if (kept !== '') chunks.push([stream, kept]);
      if (waitingLength >= sendAtLength) flush();
      if (isScheduled) return;
      isScheduled = true;
      void nextTurn().then(() => {
        isScheduled = false;
        flush();
      });
    },
    flush,
  };
}
