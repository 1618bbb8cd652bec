/** A kernel connection that does what a test says, in place of JupyterLab's: the used members only. */
import type { Kernel, KernelMessage } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';

import type { IKernel } from '../src/live';
import { COMM_ID, type IHello } from '../src/protocol';

type Reply = { status: 'ok' } | { status: 'error'; ename: string; evalue: string };

export class FakeKernel {
  readonly clientId = 'page';
  readonly username = '';
  readonly iopubMessage = new Signal<this, KernelMessage.IIOPubMessage>(this);
  readonly statusChanged = new Signal<this, Kernel.Status>(this);
  readonly connectionStatusChanged = new Signal<this, Kernel.ConnectionStatus>(this);
  status: Kernel.Status = 'idle';
  connectionStatus: Kernel.ConnectionStatus = 'connected';

  /** Whether the extension is loaded. */
  isLoaded = true;
  /** What it was asked, in order: "comm_info", "hello" or the code to run. */
  readonly asked: string[] = [];
  readonly hellos: IHello[] = [];
  /** Waits for this before it answers. */
  pause: Promise<unknown> = Promise.resolve();
  loadReply: Reply = { status: 'ok' };

  readonly info: Promise<KernelMessage.IInfoReply>;

  constructor(language = 'python') {
    this.info = Promise.resolve({ language_info: { name: language } } as KernelMessage.IInfoReply);
  }

  async requestCommInfo({
    target_name
  }: {
    target_name?: string;
  }): Promise<KernelMessage.ICommInfoReplyMsg> {
    this.asked.push('comm_info');
    const comms = this.isLoaded && target_name === COMM_ID ? { [COMM_ID]: { target_name } } : {};
    await this.pause;
    return { content: { status: 'ok', comms } } as unknown as KernelMessage.ICommInfoReplyMsg;
  }

  sendShellMessage(message: KernelMessage.IShellMessage): void {
    const { comm_id, data } = message.content as KernelMessage.ICommMsgMsg['content'];
    if (message.header.msg_type !== 'comm_msg' || comm_id !== COMM_ID) {
      throw new Error('the page sent something else than a hello');
    }
    this.asked.push('hello');
    this.hellos.push(data as unknown as IHello);
  }

  requestExecute(request: KernelMessage.IExecuteRequestMsg['content']): {
    done: Promise<{ content: Reply }>;
  } {
    if (request.silent !== true || request.store_history !== false) {
      throw new Error('the page ran code that the user would see');
    }
    this.asked.push(request.code);
    return { done: this.pause.then(() => ({ content: this.loadReply })) };
  }

  /** What the messages of its process have in common; another one after a restart. */
  process = 'first';

  /** The kernel publishes a message on a comm. */
  say(data: unknown, comm_id = COMM_ID, msg_type = 'comm_msg', session = this.process): void {
    this.iopubMessage.emit({
      header: { msg_type, session },
      content: { comm_id, data }
    } as unknown as KernelMessage.IIOPubMessage);
  }

  /** A status message, as the kernel's process or the server publishes it. */
  publish(execution_state: string, session = this.process): void {
    this.iopubMessage.emit({
      header: { msg_type: 'status', session },
      content: { execution_state }
    } as unknown as KernelMessage.IIOPubMessage);
  }

  become(...statuses: Kernel.Status[]): void {
    for (const status of statuses) {
      this.status = status;
      this.statusChanged.emit(status);
    }
  }

  connection(status: Kernel.ConnectionStatus): void {
    this.connectionStatus = status;
    this.connectionStatusChanged.emit(status);
  }

  /** As the page takes it: it uses no more than is here. */
  get connectionOf(): IKernel {
    return this as unknown as IKernel;
  }
}

/** Lets all promises that can go on do so. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) {
    await Promise.resolve();
  }
}
