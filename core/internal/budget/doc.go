// Package budget bounds the memory that many holders use together, in bytes.
//
// Holders tell a [Budget] how much they use. Beyond the limit the budget asks them to
// free memory: first caches that can be made again ("bodies"), then everything of
// holders that nobody uses. Large ones, unused for long, go first. A newcomer for
// whom there is no room is refused.
//
// Shares keep any one party from taking all. A party may hold up to [ShareOfFree]
// times what is free: the dynamic threshold of Choudhury and Hahne, "Dynamic Queue
// Length Thresholds for Shared-Memory Packet Switches" (IEEE/ACM Transactions on
// Networking 6(2), 1998). One greedy party gets two thirds of the limit, two get
// two fifths each, and something is always left for the next.
package budget
