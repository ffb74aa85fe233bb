/** What an event or continuation does; `arg` is the index named on the right. */
export const Kind = {
  none: 0,
  npuList: 1, // list of NpuQueues
  arrival: 2, // message: at its destination
  linkDone: 3, // link: free again
  linkArrive: 4, // message: at the next device of its route
  phaseEndpoint: 5, // phase: packet passed the endpoint
  phaseEndpointReduce: 6, // phase: packet passed the endpoint and must be reduced
  phaseWake: 7, // phase: packet ready to send
  phaseReceived: 8, // phase: a message came
  nodeEnd: 9, // task
  treeStartLeaf: 11, // phase
  treeLeafEnd: 12, // phase
  treeChild: 13, // phase: a child's data came
  treeChildReduced: 14, // phase
  treeChildEndpoint: 29, // phase
  treeParentEndpoint: 30, // phase
  treeParent: 15, // phase: the parent's data came
  treeParentReduced: 16, // phase
  serverDone: 17, // memory server
  serverStart: 18, // memory server: looks for work at the end of the instant
  rendezvousSend: 20, // pending send whose receiver is ready
  rendezvousReceive: 21, // pending receive whose request reached the sender
  busSent: 22, // bus end
  busReceived: 23, // bus end
  busProcessed: 24, // bus end
  customNodeEnd: 26, // task of a custom collective
} as const;
